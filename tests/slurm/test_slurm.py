"""The workflow on a real SLURM, with all faults that happen on a cluster.

One run has all faults at once, see place.py, and several tests check its results.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import cluster
import pytest
from place import (
    BRIEF,
    CONDITIONS,
    FAULTS,
    PATIENCE,
    REPLICA,
    ROOT,
    TABLE,
    THREE,
    Place,
    disturb,
    in_slurm,
    network,
    on_slurm,
    output,
    read,
    same_networks,
    strike,
    submitted,
    train_log,
    wait,
    watched,
    with_waves,
)

from passband.storage import datasets, lease
from passband.storage.lease import Holder

# The first test that needs a run waits until the run ends.
pytestmark = [pytest.mark.slow, pytest.mark.slurm, pytest.mark.timeout(3600)]

ON_ONE = pytest.mark.parametrize("slurm", ["accounting"], indirect=True)
ON_OTHER = pytest.mark.parametrize("slurm", ["noaccounting"], indirect=True)


@pytest.fixture(scope="session")
def disturbed(slurm, undisturbed, tmp_path_factory) -> Place:
    """The study after a run on SLURM with all faults and with a killed Snakemake."""
    place = with_waves(tmp_path_factory.mktemp("disturbed"), undisturbed)
    disturb(place, slurm, FAULTS)
    return place


@ON_ONE
def test_the_table_is_that_of_an_undisturbed_run(slurm, disturbed, undisturbed):
    assert disturbed.table().identical(undisturbed.table())


@ON_ONE
def test_every_fault_happened(slurm, disturbed):
    assert disturbed.states == {fault: states for fault, (states, _) in disturbed.faults.items()}


@ON_ONE
def test_no_step_is_trained_twice(slurm, disturbed):
    """Every attempt of a job continues from the last step that the attempt before saved."""
    steps = disturbed.watcher.steps
    for job in disturbed.jobs.values():
        assert len(steps[job.first]) > 1, job.condition
    assert all(of_network == sorted(of_network) for of_network in steps.values())


@ON_ONE
def test_only_jobs_that_slurm_does_not_requeue_are_submitted_again(slurm, disturbed):
    again = sum(resubmitted for _, resubmitted in disturbed.faults.values())
    assert submitted(disturbed.first_run, "train") == len(disturbed.conditions) + again


@ON_ONE
def test_after_the_death_of_snakemake_nothing_finished_is_made_again(slurm, disturbed):
    """Results that jobs finished after the death of their Snakemake are not made again either."""
    evaluated = in_slurm(disturbed.first_run, "evaluate")
    assert evaluated > 0
    second = {rule: submitted(disturbed.second_run, rule) for rule in ("train", "evaluate")}
    assert second == {"train": 0, "evaluate": len(disturbed.conditions) - evaluated}
    assert "Nothing to be done" in disturbed.run("--cores", "1", "--dry-run")


@ON_ONE
def test_jobs_read_the_configuration_that_snakemake_read(slurm, disturbed):
    """Jobs do not read the study's file, which the user may edit. test_faults.py edits the file."""
    lines = output("sacct", "-XnP", "--format=SubmitLine").splitlines()
    given = [line for line in lines if f"{disturbed.folder}/Snakefile" in line]
    assert len(given) >= 2 * len(disturbed.conditions)
    copy = rf"--configfiles '?{disturbed.folder}/results/smallest/configuration/\w+\.json'? "
    assert all(re.search(copy, line) for line in given)


@pytest.mark.long
@ON_OTHER
def test_faults_are_noticed_without_accounting(slurm, undisturbed, tmp_path):
    """Three faults. test_faults.py has all of them."""
    place = with_waves(tmp_path, undisturbed, THREE)
    networks = [network(condition) for condition in place.conditions]
    with watched(place):
        snakemake = place.start(*on_slurm(slurm), targets=networks)
        strike(place, snakemake, BRIEF)
        assert snakemake.wait(timeout=PATIENCE) == 0, place.printed()
    states = {fault: job.states() for fault, job in place.jobs.items()}
    assert states == {fault: expected for fault, (expected, _) in BRIEF.items()}
    again = sum(resubmitted for _, resubmitted in BRIEF.values())
    assert submitted(place.printed(), "train") == len(networks) + again
    assert all(same_networks(place, undisturbed, path) for path in networks)


# ── Duplicates ───────────────────────────────────────────────────────────────────────────────────


def hold(
    logs: Sequence[Path], held: dict[Path, Holder], snakemake: subprocess.Popen, place: Place
) -> bool:
    """Stop started jobs, and add their lease holders to `held`. Return whether all started."""
    assert snakemake.poll() is None, place.printed()
    for log in logs:
        for file in log.with_suffix(".lease").glob("*,*"):
            if log not in held:
                held[log] = Holder.of(file.name)
                os.kill(int(held[log].process), signal.SIGSTOP)
    return len(held) == len(logs)


@ON_OTHER
def test_a_job_that_is_submitted_twice_works_once(slurm, undisturbed, tmp_path):
    """A second Snakemake submits the job, because it does not know the first one's jobs."""
    place, pair = with_waves(tmp_path, undisturbed), CONDITIONS[:2]
    targets = [network(condition) for condition in pair]
    logs = [tmp_path / train_log(condition) for condition in pair]
    first, held = place.start(*on_slurm(slurm), targets=targets), {}

    try:
        wait("both jobs work", lambda: hold(logs, held, first, place), pause=0.02)
        first.kill()
        first.wait()
        place.run(*on_slurm(slurm), "--unlock")
        second = place.start(*on_slurm(slurm), targets=targets)
        running = ("squeue", "--noheader", "--states=RUNNING")

        def all_wait() -> bool:
            assert second.poll() is None, place.printed()
            return all(f"job that does the same work: {held[log]}" in read(log) for log in logs)

        wait("their doubles wait", all_wait)
        assert len(output(*running).splitlines()) == 4
    finally:
        for holder in held.values():
            os.kill(int(holder.process), signal.SIGCONT)
    second.wait(timeout=PATIENCE)
    assert second.returncode == 0, place.printed()
    assert submitted(place.printed(), "train") == 2
    for log, target in zip(logs, targets, strict=True):
        assert read(log).count("replica 0: val_loss") == 1
        assert re.search("train .*, made by an earlier job, in", read(log))
        assert same_networks(place, undisturbed, target)


@pytest.mark.long
@ON_OTHER
def test_a_result_of_the_job_that_took_over_is_kept(slurm, undisturbed, tmp_path, monkeypatch):
    """The job that took over has made its output, and its Snakemake has ended."""
    monkeypatch.setenv(lease.PATIENCE, "10")
    place, pair = with_waves(tmp_path, undisturbed), CONDITIONS[:2]
    targets = [network(condition) for condition in pair]
    logs = [tmp_path / train_log(condition) for condition in pair]
    first, held = place.start(*on_slurm(slurm), targets=targets), {}
    try:
        wait("both jobs work", lambda: hold(logs, held, first, place), pause=0.02)
        first.kill()
        first.wait()
        place.run(*on_slurm(slurm), "--unlock")
        place.run(*on_slurm(slurm), targets=targets)
        made = [(place.folder / target).stat().st_ino for target in targets]
        os.kill(int(held[logs[1]].process), signal.SIGKILL)
    finally:
        for holder in held.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(holder.process), signal.SIGCONT)
    wait("the jobs of the first end", lambda: not output("squeue", "--noheader"))
    states = output("squeue", "-ht", "all", "--format=%T %k").splitlines()
    assert sum("FAILED" in state and "rule_train" in state for state in states) == 1
    assert "this job starts again and waits for the other job" in read(logs[0])
    assert (place.folder / targets[0]).stat().st_ino == made[0]
    assert not (place.folder / targets[1]).exists()
    printed = place.run("--cores", "1", targets=targets)
    assert len(re.findall("train .*, made by an earlier job, in", printed)) == 1
    assert [(place.folder / target).stat().st_ino for target in targets] == made
    assert all(same_networks(place, undisturbed, target) for target in targets)


# ── Jobs that SLURM holds ────────────────────────────────────────────────────────────────────────


@ON_OTHER
def test_a_job_that_a_node_could_not_start_is_named(slurm, undisturbed, tmp_path):
    """SLURM holds such a job until it is released."""
    place, target = with_waves(tmp_path, undisturbed), network(CONDITIONS[0])
    with contextlib.ExitStack() as stack:
        for node in cluster.NODES:
            stack.enter_context(read_only(cluster.STATE / f"spool-{node}"))
        snakemake = place.start(*on_slurm(slurm), targets=[target])
        words = r"SLURM holds 1 job \(launch failed requeued held\) .* scontrol release (\d+)"
        found = wait("the held job is named", lambda: re.search(words, place.printed()))
    output("scontrol", "release", found[1])
    assert snakemake.wait(timeout=PATIENCE) == 0, place.printed()
    assert len(re.findall(words, place.printed())) == 1
    assert submitted(place.printed(), "train") == 1
    assert same_networks(place, undisturbed, target)


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Let nobody write into a folder, not even root, in a block of code."""
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


# ── Disks ────────────────────────────────────────────────────────────────────────────────────────


@ON_OTHER
def test_a_full_disk_is_named_and_a_rerun_completes(slurm, undisturbed, disk, tmp_path):
    place = Place(tmp_path / "place")
    (place.folder / "results").symlink_to(disk.folder)
    for made in ("waves", "logs/simulate"):  # its logs vouch for what a job has made
        path = Path("smallest", made)
        shutil.copytree(undisturbed.folder / "results" / path, disk.folder / path)
    target = network(CONDITIONS[0])
    disk.fill(leaving=12_288)  # enough for Snakemake's start, but not for a network
    arguments = [*on_slurm(slurm), "--retries", "0"]
    place.run(*arguments, targets=[target], fails=True)
    (log,) = place.folder.glob("logs/slurm/rule_train/*/*.log")
    words = r"error: train .*: no space left: \S+ of 0\.0021 GB are free; make room and run again\n"
    assert re.search(words, log.read_text())
    assert not list(disk.folder.rglob("*.safetensors"))
    (disk.folder / "filling").unlink()
    place.run(*arguments, targets=[target])
    assert same_networks(place, undisturbed, target)


@pytest.mark.long  # tests/workflow/test_damage.py has the same test without a cluster
@ON_OTHER
def test_damaged_stores_are_named_set_aside_and_made_again(slurm, undisturbed, tmp_path):
    """A network has a changed byte, and a store of exit waves is an empty folder."""
    place, results = with_waves(tmp_path, undisturbed), tmp_path / "results/smallest"
    pair = CONDITIONS[:2]
    for folder in (Path(network(condition)).parent for condition in pair):
        shutil.copytree(undisturbed.folder / folder, tmp_path / folder)
    flipped, empty = tmp_path / network(pair[0]), results / "waves/gold/test/00000.zarr.zip"
    content = bytearray(flipped.read_bytes())
    content[-1] ^= 1
    flipped.write_bytes(content)
    empty.unlink()
    empty.mkdir()
    damaged = [flipped, empty]
    records = [f"records/gold/compact-w4-d2/{c}/{REPLICA}.zarr.zip" for c in pair]
    targets = [f"results/smallest/{record}" for record in records]
    arguments = [*on_slurm(slurm), "--retries", "0"]
    printed = place.run(*arguments, targets=targets, fails=True)
    named = re.findall(r"error: evaluate .*: results/smallest/(\S+): not a .*; set aside", printed)
    assert set(named) == {str(path.relative_to(results)) for path in damaged}
    assert not any(path.exists() for path in damaged)
    assert all(path.with_name(f"{path.name}.damaged").exists() for path in damaged)
    place.run(*arguments, targets=targets)
    for record in records:
        mine, other = (
            datasets.read(p.folder / "results/smallest" / record, datasets.RECORD)
            for p in (place, undisturbed)
        )
        assert mine.drop_attrs().identical(other.drop_attrs())


# ── Resources ────────────────────────────────────────────────────────────────────────────────────


@ON_ONE
def test_jobs_on_a_node_see_their_own_gpu_and_others_none(slurm, tmp_path):
    """The rules have names from the profile, and their jobs run on one node.

    Each job ends only when all three have begun, so that all three run at the same time.
    """
    place = Place(tmp_path)
    together = (
        "touch begun-$SLURM_JOB_ID; until [ $(ls begun-* | wc -l) -ge 3 ]; do sleep 0.1; done"
    )
    (tmp_path / "Snakefile").unlink()
    (tmp_path / "Snakefile").write_text(
        f"""
rule all:
    output: "{TABLE}"
    input: "train1", "train2", "aggregate"
    shell: "touch {{output}}"
rule train:
    output: "train{{n}}"
    resources: slurm_extra="--nodelist=gpu1"
    shell: "echo gpu:$CUDA_VISIBLE_DEVICES $SLURMD_NODENAME > {{output}}; {together}"
rule aggregate:
    output: "aggregate"
    resources: slurm_extra="--nodelist=gpu1"
    shell: "echo gpu:${{{{CUDA_VISIBLE_DEVICES:-}}}} $SLURMD_NODENAME > {{output}}; {together}"
"""
    )
    place.run(*on_slurm(slurm))
    seen = {name: (tmp_path / name).read_text().strip() for name in ("train1", "train2")}
    assert set(seen.values()) == {"gpu:0 gpu1", "gpu:1 gpu1"}
    assert (tmp_path / "aggregate").read_text().strip() == "gpu: gpu1"


# ── Overhead ─────────────────────────────────────────────────────────────────────────────────────


@ON_ONE
def test_the_overhead_of_a_job_is_measured(slurm):
    command = [sys.executable, ROOT / "benchmarks/overhead.py", "--quick"]
    printed = output(*map(str, command))
    rows = [[cell.strip() for cell in line.split("|")] for line in printed.splitlines()]
    measured = {row[1]: float(row[3]) for row in rows if row[1].startswith("figure: ")}
    assert len(measured) == 3
    assert measured["figure: sbatch to start, in an idle queue [s]"] >= 0
    assert measured["figure: start-up and end [s]"] > 0
    assert cluster.accounting()  # the running cluster was used, and still runs


# ── Preflight ────────────────────────────────────────────────────────────────────────────────────


@ON_ONE
def test_preflight_looks_at_a_node_as_train_finds_it(slurm, tmp_path):
    """The nodes' GPUs are fake, and the preflight notices it. Without a GPU, no check fails."""
    places = [Place(tmp_path / name) for name in ("gpu", "cpu")]
    # A user's own module beside the study is imported neither by the job nor by its step.
    (places[1].folder / "random.py").write_text("raise SystemExit('was imported')")
    with_gpu, without = (
        place.start(
            *(*on_slurm(slurm), "--retries", "0", *more),
            targets=["results/smallest/preflight.txt"],
        )
        for place, more in zip(places, ([], ["--set-resources", "preflight:gpu=0"]), strict=True)
    )
    assert with_gpu.wait(timeout=PATIENCE) != 0
    assert without.wait(timeout=PATIENCE) == 0, places[1].printed()
    failed = read(places[0].folder / "results/smallest/logs/preflight.log")
    assert re.search("GPU +FAILED", failed)
    assert not (places[0].folder / "results/smallest/preflight.txt").exists()
    report = read(places[1].folder / "results/smallest/preflight.txt")
    assert "FAILED" not in report
    for check in ("imports", "file system", "disk", "profile"):
        assert re.search(rf"^{check} +ok", report, re.M), check
    assert re.search("^GPU +(ok|warning)", report, re.M)
