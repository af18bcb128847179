"""JSON of strangers is read within limits of size and depth."""

import pytest

from passband.storage import json_text


def nested(depth, brackets):
    left, right = brackets
    return left * depth + "1" + right * depth


@pytest.mark.parametrize("brackets", ["[]", ('{"a":', "}")])
def test_depth_is_limited_before_python_gives_up(brackets):
    json_text.parse(nested(json_text.DEEPEST, brackets))
    for depth in (json_text.DEEPEST + 1, 900, 100_000):
        with pytest.raises(ValueError, match="JSON with more than 50 brackets inside each other"):
            json_text.parse(nested(depth, brackets))
    with pytest.raises(ValueError, match="more than 50 brackets"):
        json_text.parse(b"[" * 100_000)


def test_size_is_limited_before_it_is_read(tmp_path):
    file = tmp_path / "a.json"
    file.write_text('{"a": "é"}', encoding="utf-8")
    assert json_text.read(file) == {"a": "é"}
    with pytest.raises(ValueError, match=r"of JSON, must be at most 5e-06"):
        json_text.read(file, 5)
    with file.open("wb") as opened:
        opened.truncate(10**12)  # takes no place on the disk
    with pytest.raises(ValueError, match="32 MB of JSON"):
        json_text.read(file)


def test_what_is_no_text_of_json_is_an_error_of_the_content():
    for text in ("", "[", '"a', "\0", b"\xff"):
        with pytest.raises(ValueError, match=r"Expecting|Unterminated|codec"):
            json_text.parse(text)
    for value in (None, 7, [1]):
        with pytest.raises(TypeError, match="expected text of JSON"):
            json_text.parse(value)
