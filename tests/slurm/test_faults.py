"""Faults of a cluster, its disks and its users on a real SLURM. Each test takes minutes.

Each test ends with the table and the weights of a run without faults. A test runs a part of the
grid of that run, since a network does not depend on the other networks.
"""

import copy
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cluster
import pytest
from place import (
    CONDITIONS,
    LAST,
    PATIENCE,
    STUDY,
    Job,
    Place,
    disturb,
    network,
    on_slurm,
    output,
    read,
    same_networks,
    submitted,
    train_log,
    wait,
    with_waves,
)
from required import refuse
from snakemake.utils import update_config

from passband.grid import Axes
from passband.runs.slurm_patches import CLOSED, SILENT

pytestmark = [
    pytest.mark.long,
    pytest.mark.slow,
    pytest.mark.slurm,
    pytest.mark.timeout(1800),
]

ON_ONE = pytest.mark.parametrize("slurm", ["accounting"], indirect=True)
ON_OTHER = pytest.mark.parametrize("slurm", ["noaccounting"], indirect=True)
ON_BOTH = pytest.mark.parametrize("slurm", ["accounting", "noaccounting"], indirect=True)

RESULTS = "results/smallest"


def study(**changes: dict) -> dict:
    """Return the study of the run without faults, with changed blocks."""
    changed = copy.deepcopy(STUDY)
    update_config(changed, changes)
    return changed


#: Two of the grid's conditions.
PAIR = study(grid={"defocus_nm": [5, 20], "dose_e_per_A2": [1000]})


def assert_as_undisturbed(place: Place, other: Place, study: dict) -> None:
    """Compare table and weights with those of a run without faults that has these conditions."""
    ids = [condition.id for condition in Axes.main.conditions(study["grid"])]
    assert place.table().identical(other.table().sel(train=ids, test=ids))
    for condition in ids:
        assert same_networks(place, other, network(condition)), condition


def held(place: Place, study: dict, snakemake: subprocess.Popen) -> list[Job]:
    """Return all `train` jobs of a study. Each is stopped after it has saved its first network."""
    jobs = [Job(place, condition.id) for condition in Axes.main.conditions(study["grid"])]
    waiting = list(jobs)

    def all_held() -> bool:
        assert snakemake.poll() is None, place.printed()
        waiting[:] = [job for job in waiting if not job.hold()]
        return not waiting

    wait("every train job has saved a network", all_held, pause=0.02)
    return jobs


def queue() -> str:
    return output("squeue", "--noheader", "--format=%i %T %k")


# ── The study is edited ──────────────────────────────────────────────────────────────────────────

#: One condition less, another more, and a key of the training.
EDITED = study(grid={"defocus_nm": [5, 40], "dose_e_per_A2": [1000]}, training={"epochs": 6})


@pytest.fixture(scope="session")
def edited(undisturbed, tmp_path_factory) -> Place:
    """The study after the edit, finished by a run on this machine without SLURM."""
    place = with_waves(tmp_path_factory.mktemp("edited"), undisturbed, EDITED)
    place.run("--cores", "2")
    return place


@ON_ONE
def test_an_edit_counts_from_the_next_call_on(slurm, undisturbed, edited, tmp_path):
    place = with_waves(tmp_path / "place", undisturbed, PAIR)
    snakemake = place.start(*on_slurm(slurm))
    wait("a job is submitted", lambda: submitted(place.printed(), "train"), pause=0.02)
    place.edit(EDITED)
    assert snakemake.wait(timeout=PATIENCE) == 0, place.printed()
    assert submitted(place.printed(), "train") == 2
    assert_as_undisturbed(place, undisturbed, PAIR)
    assert submitted(place.run(*on_slurm(slurm)), "train") == 2
    assert_as_undisturbed(place, edited, EDITED)
    assert "Nothing to be done" in place.run("--cores", "1", "--dry-run")


@ON_OTHER
@pytest.mark.parametrize("left", ["queued", "running"])
def test_jobs_of_a_snakemake_that_died_before_the_edit(slurm, left, undisturbed, edited, tmp_path):
    """Jobs in the queue end when they start. Snakemake waits for running jobs."""
    place, jobs = with_waves(tmp_path / "place", undisturbed, PAIR), []
    partition = ("scontrol", "update", "PartitionName=main")
    if left == "queued":
        output(*partition, "State=DOWN")
    first = place.start(*on_slurm(slurm))
    try:
        if left == "queued":
            wait("jobs are queued", lambda: len(queue().splitlines()) == 2)
        else:
            jobs = held(place, PAIR, first)
        first.kill()
        first.wait()
        old = [line.split()[0] for line in queue().splitlines()]
        place.edit(EDITED)
        place.run(*on_slurm(slurm), "--unlock")
        second = place.start(*on_slurm(slurm))
        wait("new jobs are queued", lambda: submitted(place.printed(), "train") == 2)
        if left == "running":
            log, waiting = place.folder / train_log(jobs[0].condition), "waits for another job"
            wait("the new job waits for the old one", lambda: waiting in read(log))
    finally:
        output(*partition, "State=UP")
        for job in jobs:
            job.signal(signal.SIGCONT)
    assert second.wait(timeout=PATIENCE) == 0, place.printed()
    wait("the jobs that were left end", lambda: not queue())
    states = output("squeue", "-ht", "all", f"--jobs={','.join(old)}", "--format=%T")
    assert set(states.split()) == {"FAILED" if left == "queued" else "COMPLETED"}
    assert_as_undisturbed(place, edited, EDITED)
    assert "Nothing to be done" in place.run("--cores", "1", "--dry-run")


# ── The cluster ──────────────────────────────────────────────────────────────────────────────────


@ON_BOTH
def test_the_controller_is_down_for_five_minutes(slurm, undisturbed, tmp_path):
    """One job is submitted before the controller ends. The other jobs are not submitted yet."""
    three = study(grid={"dose_e_per_A2": [1000]})
    place = with_waves(tmp_path / "place", undisturbed, three)
    snakemake = place.start(*on_slurm(slurm))
    wait("a job is submitted", lambda: submitted(place.printed(), "train"), pause=0.01)
    os.kill(cluster.pid("slurmctld"), signal.SIGKILL)
    try:
        over = time.monotonic() + 300
        while time.monotonic() < over:
            assert snakemake.poll() is None, place.printed()
            time.sleep(1)
        during = place.printed()
    finally:
        cluster.start_controller()
    assert submitted(during, "train") < 3
    assert during.count(CLOSED) == 1
    # The database answers without the controller.
    assert during.count(SILENT) == (0 if cluster.accounting() else 1)
    assert snakemake.wait(timeout=PATIENCE) == 0, place.printed()
    assert_as_undisturbed(place, undisturbed, three)


@ON_OTHER
def test_without_accounting_every_fault_is_noticed(slurm, undisturbed, tmp_path):
    place = with_waves(tmp_path / "place", undisturbed, STUDY)
    disturb(place, slurm, LAST)
    assert place.states == {fault: states for fault, (states, _) in LAST.items()}
    again = sum(resubmitted for _, resubmitted in LAST.values())
    assert submitted(place.first_run, "train") == len(CONDITIONS) + again
    assert submitted(place.second_run, "train") == 0
    assert_as_undisturbed(place, undisturbed, STUDY)


@ON_BOTH
def test_ctrl_c_cancels_all_jobs_and_the_same_command_continues(slurm, undisturbed, tmp_path):
    place = with_waves(tmp_path / "place", undisturbed, PAIR)
    snakemake = place.start(*on_slurm(slurm))
    jobs = held(place, PAIR, snakemake)
    # The terminal sends it to all processes of the command.
    os.killpg(snakemake.pid, signal.SIGINT)
    assert snakemake.wait(timeout=PATIENCE) != 0
    wait("no job is left", lambda: not queue(), seconds=120)
    assert not list((place.folder / ".snakemake").glob("locks/*"))
    assert all(job.first.exists() for job in jobs)
    printed = place.run(*on_slurm(slurm))
    assert submitted(printed, "train") == 2
    for job in jobs:
        assert "continues after" in read(place.folder / train_log(job.condition))
    assert_as_undisturbed(place, undisturbed, PAIR)


# ── Paths and disks ──────────────────────────────────────────────────────────────────────────────


def folder_elsewhere(folder: Path, results: Path, of: Place) -> Place:
    """A place whose results are in a folder outside it."""
    place = Place(folder, PAIR)
    (folder / "results").symlink_to(results)
    for made in ("waves", "logs/simulate"):  # its logs vouch for what a job has made
        shutil.copytree(of.folder / RESULTS / made, folder / RESULTS / made)
    return place


def with_spaces_and_umlauts(tmp_path: Path, of: Place) -> Place:
    results = tmp_path / "Große Platte, 'neu'"
    results.mkdir()
    return folder_elsewhere(tmp_path / "Läufe im Ordner", results, of)


@ON_ONE
def test_spaces_and_umlauts_in_paths(slurm, undisturbed, tmp_path):
    place = with_spaces_and_umlauts(tmp_path, undisturbed)
    place.run(*on_slurm(slurm))
    assert_as_undisturbed(place, undisturbed, PAIR)


def test_spaces_and_umlauts_in_paths_without_slurm(undisturbed, tmp_path):
    place = with_spaces_and_umlauts(tmp_path, undisturbed)
    place.run("--cores", "2")
    assert_as_undisturbed(place, undisturbed, PAIR)


class Quota:
    """A folder on a separate file system that limits the number of bytes in it."""

    def __init__(self, folder: Path):
        self.folder = folder

    def limit(self, size: str) -> None:
        # By the number of the first subvolume, since a full folder allows no change.
        subprocess.run(["btrfs", "qgroup", "limit", size, "0/256", self.folder.parent], check=True)


@pytest.fixture
def quota(tmp_path) -> Iterator[Quota]:
    """A quota that limits root too, since root runs the test's jobs.

    If the machine has no quotas, the test is skipped, unless PASSBAND_REQUIRE_SLURM is set.
    """
    image, disk = tmp_path / "disk.img", tmp_path / "disk"
    image.touch()
    os.truncate(image, 2**27)
    disk.mkdir()
    try:
        for command in (
            ["mkfs.btrfs", "--quiet", image],
            ["mount", "-o", "loop", image, disk],
            ["btrfs", "quota", "enable", disk],
            ["btrfs", "subvolume", "create", disk / "results"],
        ):
            subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        refuse("SLURM", f"no quota can be set here: {error}")
    yield Quota(disk / "results")
    subprocess.run(["umount", "--lazy", disk], check=True)


@ON_OTHER
def test_a_quota_that_is_used_up_in_the_middle(slurm, undisturbed, quota, tmp_path):
    place = folder_elsewhere(tmp_path / "place", quota.folder, undisturbed)
    # Snakemake itself may end with a traceback if it cannot make a failed job's log.
    assert_recovers(
        place,
        slurm,
        lambda: quota.limit("16K"),
        r"the disk quota is used up; make room and run again",
        lambda: quota.limit("none"),
    )
    assert_as_undisturbed(place, undisturbed, PAIR)


@ON_OTHER
def test_a_disk_that_is_full_in_the_middle(slurm, undisturbed, disk, tmp_path):
    place = folder_elsewhere(tmp_path / "place", disk.folder, undisturbed)
    printed = assert_recovers(
        place,
        slurm,
        disk.fill,
        r"no space left: 0 of 0\.0021 GB are free; make room and run again",
        (disk.folder / "filling").unlink,
    )
    assert "Traceback" not in printed
    assert_as_undisturbed(place, undisturbed, PAIR)


def assert_recovers(
    place: Place, slurm: str, fill: Callable, words: str, make_room: Callable
) -> str:
    """Fill the disk while both `train` jobs run. Then make room, and run the command again.

    Return the output of the first command.
    """
    arguments = [*on_slurm(slurm), "--retries", "1"]
    snakemake = place.start(*arguments)
    jobs = held(place, PAIR, snakemake)
    fill()
    for job in jobs:
        job.signal(signal.SIGCONT)
    assert snakemake.wait(timeout=PATIENCE) != 0
    logs = list(place.folder.glob("logs/slurm/rule_train/*/*.log"))
    said = [log for log in logs if re.search(rf"error: train .*: {words}\n", log.read_text())]
    assert len(said) == len(logs) == 4, place.printed()
    printed = place.printed()
    make_room()
    place.run(*arguments)
    return printed
