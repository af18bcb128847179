"""Committed draws, and results that are written once."""

import subprocess

import numpy as np
import pytest
import xarray as xr

from findings.second_lock import draws, locked
from findings.second_lock.locked import Opening
from findings.twelve_thousand import pieces
from passband import PassbandError


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with a committed protocol, in which the process works."""
    monkeypatch.chdir(tmp_path)
    draws.FOLDER.mkdir(parents=True)
    locked.PROTOCOL.write_text("A protocol.\n")
    for words in ("init -q", "config user.name a", "config user.email a@b.c"):
        subprocess.run(["git", *words.split()], check=True)
    commit()
    return tmp_path


def commit():
    subprocess.run(["git", "add", "."], check=True)
    subprocess.run(["git", "commit", "-qm", "-"], check=True)


def draw(digest):
    return {"conditions": [digest[:4]]}


def test_a_draw_is_read_as_it_was_committed(repository):
    path = draws.FOLDER / "drawn.json"
    with pytest.raises(PassbandError, match=r"drawn\.json: is missing"):
        draws.read_draw(path, draw)
    draws.write_draw(path, draw)
    with pytest.raises(PassbandError, match=r"drawn\.json: is not committed"):
        draws.read_draw(path, draw)
    commit()
    assert draws.read_draw(path, draw) == {"conditions": [locked.digest()[:4]]}
    path.write_text(path.read_text() + "\n")
    with pytest.raises(PassbandError, match=r"drawn.json: differs from the committed file"):
        draws.read_draw(path, draw)


def test_a_draw_from_another_protocol_is_refused(repository):
    path = draws.FOLDER / "drawn.json"
    draws.write_draw(path, draw)
    locked.PROTOCOL.write_text("Another protocol.\n")
    with pytest.raises(PassbandError, match=r"protocol\.md"):
        draws.read_draw(path, draw)
    commit()
    with pytest.raises(PassbandError, match=r"drawn\.json: was not drawn from"):
        draws.read_draw(path, draw)


def test_a_part_is_opened_once(repository):
    opening = Opening("a part")
    dice = np.array([1, 2], np.uint16)
    opening.check()
    opening.open({"plain": dice}, {"claims": {}})
    np.testing.assert_array_equal(opening.arrays()["plain"], dice)
    assert opening.found()["protocol"] == locked.digest()
    with pytest.raises(PassbandError, match="opened before"):
        opening.open({"plain": dice}, {})
    commit()
    opening.result.unlink()
    commit()
    with pytest.raises(PassbandError, match="opened before"):
        opening.check()
    with pytest.raises(PassbandError, match="is missing; the lock is not open"):
        opening.found()


def read(processor):
    dice = ("condition", "replica", "structure"), np.full((2, 1, 3), 0.5)
    return xr.Dataset({"dice": dice, "home_dice": dice}, attrs={"processor": processor})


def test_all_networks_are_of_one_processor_and_all_runs_are_counted(tmp_path):
    for seconds in (10.5, 2):
        pieces.append(tmp_path / "costs.csv", {"arm": "plain", "seconds": seconds})
    found = draws.made([read("one"), read("one")], tmp_path)
    assert found == {"processor": "one", "seconds": 12.5}
    with pytest.raises(PassbandError, match="networks of one and other"):
        draws.made([read("one"), read("other")], tmp_path)
    arrays = draws.as_arrays("plain", read("one"))
    np.testing.assert_array_equal(arrays["plain, home"], np.full((2, 1), 32768))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trin"], "trin: must be train"),
        (["train", "--part", "2"], "--part 2: must be k/n"),
    ],
)
def test_a_wrong_command_is_one_line(words, message):
    with pytest.raises(SystemExit, match=message):
        draws.run("findings.second_lock.bands", {"train": print}, words)
