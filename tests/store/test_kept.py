"""What takes long to compute is kept, and made again if anything that it depends on has changed."""

import json
import os

import numpy as np
import pytest

from passband import version
from passband.storage import FullError, atomic, checked_json
from passband.store import kept as files


def recipe(name="gold"):
    return files.recipe("recommend", {"specimen": name}, [np.arange(3.0)])


def test_another_version_of_a_library_makes_it_again_but_not_one_of_passband(monkeypatch):
    installed = {"numpy": "2.0.0", "scipy": "1.14.0"}
    monkeypatch.setattr(files, "version", installed.__getitem__)
    before = recipe()
    monkeypatch.setattr(version, "__version__", "9.0.0")
    assert recipe().digest == before.digest
    installed["scipy"] = "1.15.0"
    assert before.differs(recipe()) == ["scipy = 1.14.0 → 1.15.0"]
    assert recipe().digest != before.digest


@pytest.mark.parametrize("other", [np.arange(4.0), np.arange(3), np.array([0, 1, 2.5])])
def test_another_array_makes_it_again(other):
    assert files.recipe("recommend", {"specimen": "gold"}, [other]).digest != recipe().digest


CONTENT = {"theta": [0.25, -1.5]}


@pytest.fixture
def file(tmp_path):
    """A file with fitted parameters."""
    path = tmp_path / "store/gold.json"
    assert kept(path) == [0.25, -1.5]
    return path


def parse(content):
    if not all(isinstance(value, float) for value in content["theta"]):
        raise ValueError("no numbers")
    return content["theta"]


def kept(path, made=None, name="gold"):
    """Return what a file has; `made` becomes longer if the content is made."""
    made = [] if made is None else made
    return files.kept(path, recipe(name), lambda: (made.append(1), CONTENT)[1], parse)


def test_what_is_kept_is_made_once(file):
    made = []
    assert kept(file, made) == [0.25, -1.5]
    assert not made
    assert kept(file, made, name="silver") == [0.25, -1.5]
    assert len(made) == 1


@pytest.mark.parametrize(
    "text",
    [
        "damaged",
        "[" * 100_000,
        "[]",
        '{"recipe_digest": "x"}',
        '{"recipe_digest": "x", "content": {"theta": [0.35, -1.5]}}',
        pytest.param(lambda text: text.replace("0.25", "0.35"), id="a digit"),
        pytest.param(lambda text: text.replace("-1.5", "1.5"), id="a sign"),
    ],
)
def test_a_damaged_file_is_made_again(file, text):
    before = file.read_text()
    file.write_text(text(before) if callable(text) else text)
    made = []
    assert kept(file, made) == [0.25, -1.5]
    assert len(made) == 1
    assert file.read_text() == before


@pytest.mark.parametrize("content", [[], {}, None, 1, {"theta": 3}, {"theta": ["a"]}])
def test_content_of_another_shape_is_made_again(file, content):
    checked_json.write(file, {"recipe_digest": recipe().digest, "content": content})
    assert kept(file) == [0.25, -1.5]
    assert json.loads(file.read_text())["content"] == CONTENT


def test_a_pipe_in_its_place_is_replaced(file):
    file.unlink()
    os.mkfifo(file)
    assert kept(file) == [0.25, -1.5]
    assert file.is_file()


def test_on_a_full_disk_nothing_is_kept(file, monkeypatch):
    def full(path):
        raise FullError(path, OSError(28, "No space left on device"))

    file.unlink()
    monkeypatch.setattr(atomic, "replacing", full)
    assert kept(file) == [0.25, -1.5]
    assert not file.exists()
