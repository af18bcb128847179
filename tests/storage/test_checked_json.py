"""A JSON file with a checksum of its content."""

import json
import math
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passband.storage import StoreError, checked_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("checked") / "folder" / "file.json"


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(content=st.dictionaries(st.text().filter(lambda name: name != "checksum"), VALUES))
def test_what_was_written_is_read(path, content):
    checked_json.write(path, content)
    assert checked_json.read(path) == content
    assert {"checksum", *content} == json.loads(path.read_text()).keys()


def test_an_infinity_is_read(path):
    checked_json.write(path, {"ends": [-math.inf, math.inf]})
    assert checked_json.read(path) == {"ends": [-math.inf, math.inf]}


def test_every_changed_digit_is_found(path):
    checked_json.write(path, {"key": "0a1", "content": {"theta": [[0.125, -3.75e-05, 12]]}})
    text = path.read_text()
    digits = [place for place, character in enumerate(text) if character.isdigit()]
    assert len(digits) >= 20
    for place in digits:
        path.write_text(f"{text[:place]}{(int(text[place]) + 1) % 10}{text[place + 1 :]}")
        with pytest.raises(ValueError, match=r"does not match|Extra data|delimiter|double quotes"):
            checked_json.read(path)


def test_a_file_without_a_checksum_is_damaged(path):
    path.write_text('{"a": 1}')
    with pytest.raises(ValueError, match=r"^its checksum does not match its content$"):
        checked_json.read(path)


@pytest.mark.parametrize("text", ["", "[1]", "3", "{", "\x00", "[" * 100_000, '{"checksum": 1}'])
def test_another_content_is_damaged(path, text):
    path.write_text(text)
    with pytest.raises(ValueError, match=r"Expecting|no JSON object|brackets|does not match"):
        checked_json.read(path)


def test_a_pipe_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StoreError, match="is a pipe"):
        checked_json.read(tmp_path / "pipe")
