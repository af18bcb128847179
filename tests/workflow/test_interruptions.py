"""Runs that are killed, stopped or reach their time limit, and the runs that continue them."""

import contextlib
import os
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from runs import counts, wait
from workplace import SMALLEST, Workplace

from passband.config import load
from passband.learning import deadline
from passband.learning.networks import load as load_weights
from passband.runs import locks
from passband.storage import lease
from passband.storage.lease import Holder
from passband.storage.weights import fingerprint
from passband.storage.weights import save as save_weights

pytestmark = pytest.mark.workflow


@pytest.fixture(autouse=True)
def saving(monkeypatch):
    """Training saves its state at every step."""
    monkeypatch.setenv(deadline.SAVE_EVERY, "0.001")


#: Two of the smallest study's four train jobs, and their networks.
CELLS = [f"gold/compact-w4-d2/{c.id}/r000-001" for c in load(SMALLEST).train_conditions[:2]]
PAIR = [f"results/smallest/networks/{cell}.safetensors" for cell in CELLS]


def with_waves(folder: Path, finished: Workplace) -> Workplace:
    """Return a place with the exit waves and the logs that vouch for them."""
    place = Workplace(folder)
    for made in ("waves", "logs/simulate"):
        path = Path("results/smallest", made)
        shutil.copytree(finished.folder / path, folder / path)
    return place


def assert_same_networks(place: Workplace, finished: Workplace, *networks: str) -> None:
    for network in networks:
        weights, expected = (load_weights(p.folder / network)[0] for p in (place, finished))
        assert fingerprint(weights) == fingerprint(expected)


@pytest.mark.slow
def test_a_killed_training_job_continues_from_its_saved_state(finished, tmp_path):
    """That its weights are those of an undisturbed one, tests/learning/test_training.py says."""
    place = Workplace(tmp_path / "killed")
    waves = finished.folder / "results/smallest/waves"
    shutil.copytree(waves, place.folder / "results/killed/waves")
    study = place.study(
        study={"name": "killed", "replicas": 3, "replicas_per_job": 3},
        grid={"defocus_nm": [5], "dose_e_per_A2": [200]},
        training={"epochs": 30},
    )
    network = "gold/compact-w4-d2/df+0005.00_cs+0001.200_ap016.00_ds000200.00/r000-002"
    target = f"results/killed/networks/{network}.safetensors"
    left = place.folder / "results/killed/checkpoints" / network.replace("/", "_")
    process = place.start(target, study=study)
    wait(process, (left / "000.safetensors").exists)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (place.folder / target).exists()
    place.run("--unlock", study=study)
    printed = place.run(target, study=study)
    assert re.search(r"replicas 0 to 2: continues after [1-9]\d* steps", printed)
    assert not left.exists()
    killed, metadata = load_weights(place.folder / target)
    assert metadata.vectorized is True
    assert sorted(killed) == [0, 1, 2]


@pytest.mark.slow
def test_a_training_job_out_of_time_logs_a_line_and_continues_when_retried(finished, tmp_path):
    place = Workplace(tmp_path / "late")
    shutil.copytree(finished.folder / "results/smallest/waves", place.folder / "results/late/waves")
    study = place.study(
        study={"name": "late", "replicas": 2},
        grid={"defocus_nm": [5], "dose_e_per_A2": [200]},
        training={"epochs": 30},
    )
    target = "results/late/networks/gold/compact-w4-d2"
    target = f"{target}/df+0005.00_cs+0001.200_ap016.00_ds000200.00/r000-001.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_JOB_ID", "7")  # as inside a job of SLURM, which enforces runtime
        arguments = target, "--set-resources", "train:runtime=0", "--retries", "1"
        printed = place.run(*arguments, study=study, fails=True)
    assert (
        len(re.findall(r"error: train .*: stopped in epoch 1 of 30: the time limit", printed)) == 2
    )
    assert "continues after 1 steps" in printed  # the retry
    assert "Traceback" not in printed
    assert "2 network(s)" in place.run(target, study=study)


def holding(place: Workplace) -> dict[str, int]:
    """Return the processes that have the lease of a job, by the path of the job's log."""
    holders = {
        f"{folder.removesuffix('.lease')}.log": Holder.of(file)
        # os.walk ignores folders that disappear meanwhile, such as those made to acquire a lease.
        for folder, _, files in os.walk(place.folder / "results/smallest/logs")
        if re.match(r"[^.].*\.lease$", os.path.basename(folder))
        for file in files
    }
    return {log: int(holder.process) for log, holder in holders.items() if not holder.gone}


def training(place: Workplace) -> set[int]:
    """Return the processes that have the lease of a `train` job."""
    return {process for log, process in holding(place).items() if "/logs/train/" in log}


def said(logs: Path) -> str:
    """Return the text of all logs in a folder."""
    return "".join(log.read_text() for log in logs.rglob("*.log"))


@pytest.mark.slow
def test_snakemake_waits_for_jobs_of_a_killed_snakemake(finished, tmp_path):
    """The next Snakemake does not know of the killed one's jobs, and starts them again."""
    place, study = with_waves(tmp_path / "left", finished), "studies/smallest.yaml"
    first, left = place.start(*PAIR, study=study), set()

    def stopped() -> bool:
        for process in training(place) - left:
            os.kill(process, signal.SIGSTOP)
            left.add(process)
        return len(left) == 2

    wait(first, stopped)
    first.kill()
    first.wait()
    first.stdout.close()  # like a closed terminal
    # As `passband run` does.
    assert [int(holder.process) for holder in locks.clear(place.folder)] == [first.pid]
    second = place.start(*PAIR, study=study)
    try:
        logs = place.folder / "results/smallest/logs/train"
        waits = [f"job that does the same work: process {process} on" for process in left]

        wait(second, lambda: all(words in said(logs) for words in waits))
        assert training(place) == left
    finally:
        for process in left:
            os.kill(process, signal.SIGCONT)
    printed, _ = second.communicate(timeout=1500)
    assert second.returncode == 0, printed
    assert len(re.findall(r"train .*, made by an earlier job, in", printed)) == 2
    assert said(logs).count("replica 0: val_loss") == 2  # each of the jobs has trained once
    assert_same_networks(place, finished, *PAIR)
    assert not list((place.folder / "results").rglob("*.lease"))
    assert "Nothing to be done" in place.run("--dry-run", *PAIR, study=study)


@pytest.mark.slow
def test_a_result_of_the_job_that_took_over_is_kept(finished, tmp_path, monkeypatch):
    """Another job takes over the work of each of three jobs.

    The first job wakes while the other job works. The second job wakes after the other job's work.
    The third job is killed after the other job's work.
    """
    monkeypatch.setenv(lease.PATIENCE, "9")
    place, results = with_waves(tmp_path / "lost", finished), tmp_path / "lost/results/smallest"
    networks = PAIR
    targets = *networks, "results/smallest/information.zarr"
    logs = *(results / f"logs/train/{cell}.log" for cell in CELLS), results / "logs/information.log"
    options = {"study": "studies/smallest.yaml"}
    first, held = place.start("--cores", "3", *targets, **options), {}

    def all_stopped() -> bool:
        for log, process in holding(place).items():
            if log not in held:
                os.kill(process, signal.SIGSTOP)
                held[log] = process
        return len(held) == len(logs)

    try:
        wait(first, all_stopped)
        woken, killed, information = (held[str(log)] for log in logs)
        second = place.start("--nolock", "--cores", "3", *targets, **options)
        words = f"takes over the work of a job that has died: process {woken} on"
        wait(second, lambda: words in logs[0].read_text())
        os.kill(woken, signal.SIGCONT)
        printed, _ = second.communicate(timeout=1500)
        assert second.returncode == 0, printed
        made = [(place.folder / target).stat() for target in targets]
        os.kill(information, signal.SIGCONT)
        os.kill(killed, signal.SIGKILL)
        printed, _ = first.communicate(timeout=1500)
    finally:
        if first.poll() is None:
            for process in held.values():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            first.communicate()
    assert first.returncode != 0  # because one job was killed
    assert "Traceback" not in printed
    # The job of information may have been stopped before it looked for a result; then it has found
    # the other job's when it woke, and no heartbeat had to tell it.
    words = "another job assumed that this job had died and took over its work;"
    assert words in logs[0].read_text()
    for log in (logs[0], logs[2]):
        assert ", made by an earlier job, in " in log.read_text()
    assert not (place.folder / networks[1]).exists()
    for k in (0, 2):
        assert (place.folder / targets[k]).stat().st_ino == made[k].st_ino

    printed = place.run(*targets, **options)
    assert len(re.findall(r"train .*, made by an earlier job, in", printed)) == 1
    assert (place.folder / networks[1]).stat().st_ino == made[1].st_ino
    assert "replica 0: val_loss" not in printed
    assert_same_networks(place, finished, *networks)
    assert not list(results.rglob("*.lease"))
    assert not list(results.rglob(".*.safetensors"))

    # A result of a newer version is kept, although this run should make it again.
    cached = results / f"store/networks/{CELLS[0]}.safetensors"
    weights, metadata = load_weights(place.folder / networks[0])
    with monkeypatch.context() as patch:
        patch.setattr("passband.storage.weights.FORMAT", 3)
        save_weights(weights, cached, metadata)
    newer = cached.read_bytes()
    printed = place.run(networks[0], "--forcerun", "train", **options, fails=True)
    assert re.search(r"error: train .*: results/smallest/store/\S+: its format is 3,", printed)
    assert "Traceback" not in printed
    assert cached.read_bytes() == newer


@pytest.mark.slow
@pytest.mark.long  # tests/slurm has the same test on a cluster, which `make test` runs
def test_a_full_disk_is_named_and_the_rest_is_made_when_there_is_room(finished, disk, tmp_path):
    place = Workplace(tmp_path / "full")
    (place.folder / "results").symlink_to(disk.folder)
    waves = finished.folder / "results/smallest/waves"
    shutil.copytree(waves, disk.folder / "smallest/waves")
    study = place.study()
    target = "results/smallest/table.zarr"
    disk.fill(leaving=12_288)  # enough for Snakemake's start, but not for a network
    printed = place.run(target, study=study, fails=True)
    assert re.search(
        r"error: train .*: results/smallest/store/.*\.safetensors: no space left: \S+ of 0\.0021 "
        r"GB are free; make room and run again\n",
        printed,
    )
    assert "not saved: results/smallest/checkpoints/" in printed
    assert "Traceback" not in printed
    left = [path for path in disk.folder.rglob("*") if path.suffix in (".safetensors", ".csv")]
    assert left == []
    (copy,) = (disk.folder / "smallest/configuration").iterdir()
    copy.unlink()
    disk.fill()
    printed = place.run(target, study=study, fails=True)
    assert re.search(r"^results/smallest/configuration/\w+\.json: no space left: ", printed, re.M)
    assert "rule train" not in printed
    (disk.folder / "filling").unlink()
    place.run(target, study=study)
    np.testing.assert_array_equal(counts(place), counts(finished))
