"""Fitted parameters are kept from one version of Passband to the next."""

import json
import os

import numpy as np
import pytest

from passband.answers import fitted_models
from passband.storage import FullError, atomic, checked_json

#: The key that version 0.1.0 made of the values below.
OF_0_1_0 = "0a294faf41394d05"


def test_what_version_0_1_0_has_fitted_is_still_found(monkeypatch):
    """Passband's version is in no key, so a new one fits nothing again."""
    installed = {"numpy": "2.0.0", "scipy": "1.14.0"}
    monkeypatch.setattr(fitted_models, "version", installed.__getitem__)
    assert fitted_models.key([np.arange(3.0)], "gold", 1) == OF_0_1_0
    installed["scipy"] = "1.15.0"
    assert fitted_models.key([np.arange(3.0)], "gold", 1) != OF_0_1_0


CONTENT = {"theta": [0.25, -1.5]}


@pytest.fixture
def file(tmp_path):
    """A file with fitted parameters."""
    path = tmp_path / "cache/gold.json"
    assert kept(path) == [0.25, -1.5]
    return path


def parse(content):
    if not all(isinstance(value, float) for value in content["theta"]):
        raise ValueError("no numbers")
    return content["theta"]


def kept(path, made=None, key="key"):
    """Return what a file has; `made` becomes longer if the content is made."""
    made = [] if made is None else made
    return fitted_models.kept(path, key, lambda: (made.append(1), CONTENT)[1], parse)


def test_what_is_kept_is_made_once(file):
    made = []
    assert kept(file, made) == [0.25, -1.5]
    assert not made
    assert kept(file, made, key="another") == [0.25, -1.5]
    assert len(made) == 1


@pytest.mark.parametrize(
    "text",
    [
        "damaged",
        "[" * 100_000,
        "[]",
        '{"key": "key"}',
        '{"key": "key", "content": {"theta": [0.35, -1.5]}}',
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
    checked_json.write(file, {"key": "key", "content": content})
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
