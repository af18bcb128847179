"""The history of the locked set: bytes that stay, files that move, clones without a history."""

import shutil
import subprocess
from itertools import chain
from pathlib import Path

import pytest

from findings.twelve_thousand import history, locked
from passband import PassbandError

OLD, NEW = Path("docs/twelve-thousand"), Path("findings/twelve_thousand")


def git(*words):
    who = ("-c", "user.name=a", "-c", "user.email=a@b.example")
    subprocess.run(["git", *who, *words], check=True, capture_output=True)


def commit(*names, folder=OLD, text="what is measured"):
    """Commit files of the lock, each with other bytes."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{name}: {text}")
    git("add", "-A")
    git("commit", "-m", "a message")


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    git("init", "-b", "main")


@pytest.fixture
def moved(repository):
    """A repository whose lock was made in one folder, and is in another now."""
    commit(history.PROTOCOL, text="a draft")
    for phase in history.PHASES:
        commit(*phase)
    NEW.parent.mkdir()
    git("mv", str(OLD), str(NEW))
    commit()


def test_the_committed_lock_has_its_first_bytes():
    if reason := history.lacking():
        pytest.skip(reason)
    *files, order = history.check()
    assert len(files) == 6
    assert all("bytes of" in line for line in files)
    assert order.startswith("committed in this order: protocol.md, then ")


def test_files_may_move(moved):
    *files, _ = history.check()
    assert len(files) == 6
    moved_in = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout
    assert not any(moved_in[:12] in line for line in files)


@pytest.mark.parametrize("name", [*chain(*history.PHASES)])
def test_other_bytes_are_one_line(moved, name):
    (NEW / name).write_text("another result")
    with pytest.raises(PassbandError, match=rf"^{NEW / name}: differs from the file of \w+$"):
        [*history.check()]
    git("commit", "-am", "a message")
    words = (
        "which is not before" if name == history.PROTOCOL else "was committed in .*, and changed in"
    )
    with pytest.raises(PassbandError, match=rf"^{NEW / name}: .*{words}"):
        [*history.check()]


def test_a_file_that_was_removed_and_made_again_has_changed(moved):
    (NEW / history.RESULT).unlink()
    commit()
    commit(history.RESULT, folder=NEW, text="another result")
    with pytest.raises(PassbandError, match=r"result.json: was committed in .*, and changed in"):
        [*history.check()]


def test_predictions_after_the_result_are_one_line(repository):
    protocol, predictions, result = history.PHASES
    for phase in (protocol, result, predictions):
        commit(*phase, folder=NEW)
    with pytest.raises(PassbandError, match=r"study.yaml: is of \w+, which is not before"):
        [*history.check()]


def test_one_commit_has_no_order(repository):
    commit(*chain(*history.PHASES), folder=NEW)
    with pytest.raises(PassbandError, match=r"protocol.md: is of \w+, which is not before"):
        [*history.check()]


def test_without_a_history_a_line_says_why_nothing_is_compared(moved, tmp_path, monkeypatch):
    git("clone", "--depth", "1", f"file://{tmp_path}", "shallow")
    monkeypatch.chdir("shallow")
    (line,) = history.check()
    assert line.startswith("skipped: the lock's history: this clone is shallow; `git fetch")
    with pytest.raises(PassbandError, match="cannot be opened: this clone is shallow"):
        locked.check_history()
    shutil.rmtree(".git")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    assert [*history.check()] == ["skipped: the lock's history: this is no git repository"]
    monkeypatch.setenv("PATH", "")
    assert [*history.check()] == ["skipped: the lock's history: git is not installed"]


def test_the_result_is_opened_once_and_only_after_the_protocol_and_the_predictions(repository):
    protocol, predictions, result = history.PHASES
    commit(*predictions, folder=NEW)
    commit(*protocol, folder=NEW)
    with pytest.raises(PassbandError, match="which is not before"):
        locked.check_history()  # the predictions came first
    git("checkout", "--orphan", "right")
    git("rm", "-rf", "--cached", ".")
    shutil.rmtree(NEW)
    commit(*protocol, folder=NEW)
    commit(*predictions, folder=NEW)
    assert len(locked.check_history()) == 40
    locked.RESULT.write_text("{}")  # opened, and not committed yet
    with pytest.raises(PassbandError, match="opened before; its result stands"):
        locked.check_history()
    locked.RESULT.unlink()
    locked.PROTOCOL.write_text("what was found")
    with pytest.raises(PassbandError, match=r"protocol.md: differs from the committed file"):
        locked.protocol_digest()
    git("checkout", str(locked.PROTOCOL))
    commit(*result, folder=NEW)
    git("rm", "-q", str(locked.RESULT))
    commit()
    with pytest.raises(PassbandError, match="opened before; its result stands"):
        locked.check_history()
