"""Jobs read the configuration that Snakemake read when it started."""

import json
import threading
import time
from pathlib import Path

import pytest

from passband import config
from passband.jobs import running
from passband.results import Results, layout, snapshot
from passband.storage import FullError, lease

STUDIES = [Path(__file__).parents[2] / "config.yaml"]
STUDIES += sorted((Path(__file__).parents[2] / "studies").glob("*.yaml"))


def study(**training):
    return config.validate({"study": {"name": "pilot"}, "training": training})


def names(results):
    return sorted(path.stem for path in (results / "configuration").iterdir())


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_jobs_read_the_same_study(path, tmp_path):
    written = config.load(path)
    copy = snapshot.write(Results(written, tmp_path), "study.yaml", alone=True)
    assert config.validate(json.loads(copy.read_text())) == written
    assert copy.stem == written.digest
    assert not snapshot.changed(Results(written, tmp_path))
    copy.write_text("")  # as after a power failure
    assert snapshot.write(Results(written, tmp_path), "study.yaml", alone=True) == copy
    assert config.validate(json.loads(copy.read_text())) == written


def test_earlier_copies_are_removed_unless_another_snakemake_may_need_them(tmp_path):
    first, second, third = (study(epochs=n) for n in (1, 2, 3))
    assert not snapshot.changed(Results(first, tmp_path))  # no Snakemake has written a copy
    snapshot.write(Results(first, tmp_path), "study.yaml", alone=True)
    snapshot.write(Results(second, tmp_path), "study.yaml", alone=False)
    assert names(tmp_path) == sorted([first.digest, second.digest])
    assert not snapshot.changed(Results(first, tmp_path))
    snapshot.write(Results(third, tmp_path), "study.yaml", alone=True)
    assert names(tmp_path) == [third.digest]
    assert snapshot.changed(Results(first, tmp_path))


def test_only_copies_are_removed(tmp_path):
    (tmp_path / "configuration").mkdir()
    for name in (
        "0123456789abcdef.json",
        "mine.json",
        "0123456789ABCDEF.json",
        "a0123456789abcdef.json",
    ):
        (tmp_path / "configuration" / name).touch()
    snapshot.write(Results(study(), tmp_path), "study.yaml", alone=True)
    left = {study().digest, "mine", "0123456789ABCDEF", "a0123456789abcdef"}
    assert names(tmp_path) == sorted(left)


def test_a_lock_that_vanishes_does_not_count(tmp_path, monkeypatch):
    """Another Snakemake removes its locks when it ends, at any moment."""
    monkeypatch.chdir(tmp_path)
    locks = tmp_path / ".snakemake" / "locks"
    locks.mkdir(parents=True)
    (locks / "0.output.lock").write_text("results/pilot/table.zarr\n")
    (locks / "1.output.lock").symlink_to(locks / "removed")
    assert snapshot.is_alone(Results(None, "results/pilot"))
    (locks / "2.output.lock").write_text("results/pilot-2/table.zarr\n")
    assert snapshot.is_alone(Results(None, "results/pilot"))
    (locks / "3.output.lock").write_text("a\nresults/pilot/networks/a\n")
    assert not snapshot.is_alone(Results(None, "results/pilot"))


def test_a_crystal_file_that_is_edited_counts(tmp_path):
    path = tmp_path / "crystal.cif"
    specimens = {"a": {"material": str(path), "shape": "cube"}}
    path.write_text("data_x\n_cell_length_a 3\n_atom_site_fract_x\n")
    snapshot.write(
        Results(config.validate({"specimens": specimens}), tmp_path), "study.yaml", alone=True
    )
    path.write_text("data_x\n_cell_length_a 4\n_atom_site_fract_x\n")
    assert snapshot.changed(Results(config.validate({"specimens": specimens}), tmp_path))


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(FullError, match="no space left"):
        snapshot.write(Results(study(), tmp_path), "study.yaml", alone=True)
    assert names(tmp_path) == []


def test_a_copy_of_parts_is_kept_and_anything_else_is_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text("study: {name: mine}\n")
    Path("parts").mkdir()
    text = "from passband.parts import metric, PAIR\n\n@metric(PAIR)\ndef mine(pair): ...\n"
    Path("parts/mine.py").write_text(text)
    results = Results(config.load("config.yaml"), "results/mine")
    snapshot.write(results, "config.yaml", alone=True)
    copy = results.path(layout.PARTS, digest=results.study.digest)
    first = copy.stat().st_ino
    snapshot.write(results, "config.yaml", alone=True)
    assert copy.stat().st_ino == first
    for name in ("mine.py", "more.py"):  # another content, and another file
        (copy / name).write_text("# a stranger's")
        snapshot.write(results, "config.yaml", alone=True)
        assert [file.read_text() for file in copy.iterdir()] == [text]


# Jobs


def run(study, log, ran):
    """Run a job that records whether it worked, and return its exit status."""
    try:
        with running.job("train a", log, study.model_dump(mode="json")) as job:
            ran.append(study)
            job.result = "it"
    except SystemExit as error:
        return error.code or 0
    return 0


def test_a_job_of_an_earlier_configuration_ends_before_its_work(tmp_path, capsys):
    old, new, log, ran = study(epochs=1), study(epochs=2), tmp_path / "logs/train/a.log", []
    snapshot.write(Results(old, tmp_path), "study.yaml", alone=True)
    assert run(old, log, ran) == 0
    snapshot.write(Results(new, tmp_path), "study.yaml", alone=True)
    capsys.readouterr()
    assert run(old, log, ran) == 1
    assert ran == [old]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(
        "error: train a: the study or one of its crystal files was changed after this job was "
        "submitted; run Snakemake's command again"
    )
    assert run(new, log, ran) == 0


@pytest.mark.slow
def test_a_job_that_waited_while_the_study_changed_keeps_another_jobs_output(tmp_path, capsys):
    """The job succeeds: if it failed, Snakemake would delete the output of another job."""
    old, new, log, ran = study(epochs=1), study(epochs=2), tmp_path / "logs/train/a.log", []
    snapshot.write(Results(old, tmp_path), "study.yaml", alone=True)
    codes = []
    with lease.held(log.with_suffix(layout.LEASE)):
        waiting = threading.Thread(target=lambda: codes.append(run(old, log, ran)))
        waiting.start()
        while "waits for another job" not in (log.read_text() if log.exists() else ""):
            time.sleep(0.01)
        snapshot.write(Results(new, tmp_path), "study.yaml", alone=True)
    waiting.join()
    assert (codes, ran) == ([0], [])
    assert "train a: nothing, since the study or one of" in capsys.readouterr().err
