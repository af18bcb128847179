"""The workflow on a real SLURM, disturbed in every way that a cluster disturbs it.

One run on each kind of cluster meets every fault at once: each of its train jobs is stopped when
its first network is finished, and then meets its fate. The tests look at what became of it.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import cluster
import pytest
import yaml
from snakemake.utils import update_config

from passband import networks, store, table
from passband.grid import conditions
from passband.lease import Holder
from passband.store import StoreError

# The first test to need a run waits for all of it.
pytestmark = [pytest.mark.slow, pytest.mark.slurm, pytest.mark.timeout(3600)]

#: Seconds that anything may take: some are enough on a machine that does nothing else.
PATIENCE = 600

ROOT = Path(__file__).parents[2]
TABLE = "results/smallest/table.zarr"
STUDY = yaml.safe_load((ROOT / "studies" / "smallest.yaml").read_text())
update_config(
    STUDY,
    {
        "study": {"structures": {"train": 8}},  # one shard
        "grid": {"defocus_nm": [5, 10, 20]},
        # A job trains long enough to be caught at it, and saves at every step.
        "training": {"epochs": 12, "save_every_s": 0.0},
    },
)
CONDITIONS = [condition.id for condition in conditions(STUDY["grid"])]
# This machine has two cores, and the number of threads changes the last digits.
RULES = ("simulate", "train", "evaluate", "information", "aggregate", "preflight")
THREADS = [f"{rule}=1" for rule in RULES]


class Place:
    """A folder that looks like a clone, and Snakemake in it."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(exist_ok=True)
        for name in ("Snakefile", "config.yaml", "workflow", "profiles", "envs", "slurm"):
            (folder / name).symlink_to(ROOT / name)
        (folder / "study.yaml").write_text(yaml.safe_dump(STUDY))
        self.runs = 0

    def start(self, *arguments: str, targets: Sequence[str] = (TABLE,)) -> subprocess.Popen:
        command = [sys.executable, "-m", "snakemake", *arguments]
        command += ["--configfile", "study.yaml", "--nocolor", *targets]
        self.runs += 1
        environment = {k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"}
        with (self.folder / f"run{self.runs}.log").open("w") as log:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def run(self, *arguments: str, targets: Sequence[str] = (TABLE,), fails: bool = False) -> str:
        """Run Snakemake to its end, check its exit status, and return what it printed."""
        process = self.start(*arguments, targets=targets)
        process.wait(timeout=PATIENCE)
        assert (process.returncode != 0) == fails, self.printed()
        return self.printed()

    def printed(self) -> str:
        """What the newest run has printed."""
        return (self.folder / f"run{self.runs}.log").read_text()

    def table(self):
        """The table, without the attributes that say when and where it was made."""
        return table.load(self.folder / TABLE).drop_attrs()


def on_slurm(profile: str) -> list[str]:
    """The command line of a test on SLURM: the profile's but for what this machine lacks."""
    return [
        *("--profile", profile, "--slurm-init-seconds-before-status-checks", "1"),
        *("--set-threads", *THREADS),
    ]


def output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def read(log: Path) -> str:
    """What a log says, nothing if it is not there."""
    return log.read_text() if log.exists() else ""


def wait(what: str, for_: Callable[[], object], seconds: float = PATIENCE, pause: float = 0.1):
    """Wait until something is true, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := for_()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(pause)
    return found


# ── Faults ───────────────────────────────────────────────────────────────────────────────────────


class Job:
    """A train job on the cluster, stopped on its way."""

    def __init__(self, place: Place, condition: str):
        folder = (
            place.folder / f"results/smallest/unfinished/gold_compact-w4-d2_{condition}_r000-001"
        )
        self.first = folder / "000.safetensors"
        self.condition = condition

    def hold(self) -> bool:
        """Stop the job's process if it has saved its first network."""
        if not self.first.exists():
            return False
        process, self.slurm = process_of(self.condition)
        self.process = os.pidfd_open(process)
        self.signal(signal.SIGSTOP)
        self.node = output("squeue", "--noheader", f"--jobs={self.slurm}", "--format=%N")
        return True

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.process, number)

    def preempt(self) -> None:
        """Have a job of a partition that goes first ask for the whole node."""
        urgent = ("--partition=urgent", f"--nodelist={self.node}", "--exclusive", "--time=1")
        output("sbatch", *urgent, "--output=/dev/null", "--wrap=true")

    def kill(self) -> None:
        self.signal(signal.SIGKILL)

    def cancel(self) -> None:
        output("scancel", self.slurm)

    def run_out_of_time(self) -> None:
        output("scontrol", "update", f"JobId={self.slurm}", "TimeLimit=1")

    def preempt_for_good(self) -> None:
        output("scontrol", "update", f"JobId={self.slurm}", "Requeue=0")
        self.preempt()

    def kill_node_daemon(self) -> None:
        os.kill(cluster.pid(self.node), signal.SIGKILL)

    def states(self) -> set[str]:
        """Every state that SLURM has recorded of the job."""
        if cluster.accounting():
            command = ("sacct", "-XDnP", f"--jobs={self.slurm}", "--format=State")
        else:
            command = ("squeue", "-ht", "all", f"--jobs={self.slurm}", "--format=%T")
        return set(output(*command).splitlines())


def process_of(condition: str) -> tuple[int, str]:
    """The process that trains under a condition, and its job: known by the log it has open."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if "train.py" not in (folder / "cmdline").read_text():
                continue
            files = [os.readlink(descriptor) for descriptor in (folder / "fd").iterdir()]
            variables = (folder / "environ").read_text().split("\0")
        except OSError:  # it has ended meanwhile
            continue
        if any(f"/logs/train/gold/compact-w4-d2/{condition}/" in file for file in files):
            (job,) = (v.partition("=")[2] for v in variables if v.startswith("SLURM_JOB_ID="))
            return int(folder.name), job
    raise AssertionError(f"no process trains under {condition}")


#: What a fault leaves in SLURM's records, and whether Snakemake submits the job again itself.
FAULTS = {
    "kill": ({"FAILED"}, True),
    "cancel": ({"CANCELLED by 0"}, True),
    "run_out_of_time": ({"TIMEOUT"}, True),
    "preempt": ({"PREEMPTED", "COMPLETED"}, False),
    "preempt_for_good": ({"PREEMPTED"}, True),
    "kill_node_daemon": ({"NODE_FAIL", "COMPLETED"}, False),
}
#: Without accounting, those that last, and a job's last state alone.
BRIEF = {
    "kill": ({"FAILED"}, True),
    "cancel": ({"CANCELLED"}, True),
    "preempt": ({"COMPLETED"}, False),
    "preempt_for_good": ({"PREEMPTED"}, True),
}


def submitted(printed: str, rule: str) -> int:
    """Jobs of a rule that a run submitted."""
    return len(re.findall(rf"has been submitted with SLURM jobid .*/rule_{rule}/", printed))


def same_networks(place: Place, other: Place, name: str) -> bool:
    """Whether two places have the same networks, to the last bit."""
    loaded = (networks.load(p.folder / name)[0] for p in (place, other))
    return len({networks.fingerprint(weights) for weights in loaded}) == 1


class Watcher(threading.Thread):
    """Keeps jobs stopped, and notes how many steps each network that a job leaves for its next
    attempt has gone.

    SLURM lets a stopped process go on before it kills it, and waits for two seconds in between:
    time enough for one to end well.
    """

    def __init__(self, folder: Path):
        super().__init__(daemon=True)
        self.folder, self.held, self.over = folder, [], threading.Event()
        self.steps = defaultdict(list)

    def run(self) -> None:
        while not self.over.wait(0.02):
            for job in self.held:
                job.signal(signal.SIGSTOP)
            # What is not whole yet has a name with a dot; what a job leaves goes when it ends.
            with contextlib.suppress(StoreError, OSError, RuntimeError):
                for path in self.folder.glob("*/[!.]*.safetensors"):
                    _, metadata = networks.read(path)
                    self.steps[path].append(metadata["progress"]["steps"])


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory) -> Place:
    """The study, run on this machine without SLURM."""
    place = Place(tmp_path_factory.mktemp("undisturbed"))
    place.run("--cores", "2")
    return place


@pytest.fixture(scope="session")
def disturbed(slurm, undisturbed, tmp_path_factory) -> Place:
    """The study, run on SLURM through all faults and the death of Snakemake, to its table."""
    place = Place(tmp_path_factory.mktemp("disturbed"))
    place.faults = FAULTS if slurm == "slurm" else BRIEF
    place.jobs = {fault: Job(place, c) for fault, c in zip(place.faults, CONDITIONS, strict=False)}
    results = place.folder / "results/smallest"
    if slurm != "slurm":  # simulating once is enough
        shutil.copytree(undisturbed.folder / "results/smallest/waves", results / "waves")
    place.watcher = Watcher(results / "unfinished")
    place.watcher.start()
    snakemake = place.start(*on_slurm(slurm))
    try:
        waiting = list(place.jobs.values())

        def all_held() -> bool:
            assert snakemake.poll() is None, place.printed()
            for job in waiting:
                if job.hold():
                    place.watcher.held.append(job)
            waiting[:] = [job for job in waiting if job not in place.watcher.held]
            return not waiting

        wait("every train job has saved a network", all_held, pause=0.02)
        for fault, job in place.jobs.items():
            getattr(job, fault)()
        if job := place.jobs.get("kill_node_daemon"):
            wait("a dead node is noticed", lambda: "NODE_FAIL" in job.states())
            cluster.start_node(job.node)
        networks = [results / f"networks/gold/compact-w4-d2/{c}" for c in CONDITIONS]
        wait("training ends", lambda: all(list(n.glob("*.safetensors")) for n in networks))
        running = ("squeue", "--noheader", "--states=RUNNING", "--format=%k")
        wait("evaluation begins", lambda: "rule_evaluate" in output(*running))
    finally:
        snakemake.kill()
        snakemake.wait()
        for job in place.watcher.held:  # dead by now, unless something went wrong
            job.signal(signal.SIGKILL)
    place.first_run = place.printed()
    # Its jobs go on without it.
    wait("the jobs that it left end", lambda: not output("squeue", "--noheader"))
    place.states = {fault: job.states() for fault, job in place.jobs.items()}
    place.run(*on_slurm(slurm), "--unlock")
    place.second_run = place.run(*on_slurm(slurm))
    place.watcher.over.set()
    place.watcher.join()
    return place


def test_the_table_is_that_of_an_undisturbed_run(disturbed, undisturbed):
    assert disturbed.table().identical(undisturbed.table())


def test_every_fault_happened(disturbed):
    assert disturbed.states == {fault: states for fault, (states, _) in disturbed.faults.items()}


def test_no_step_is_trained_twice(disturbed):
    """What is saved never goes back: every attempt goes on from where the one before was."""
    steps = disturbed.watcher.steps
    for job in disturbed.jobs.values():
        assert len(steps[job.first]) > 1, job.condition
    assert all(of_network == sorted(of_network) for of_network in steps.values())


def test_only_jobs_that_slurm_does_not_requeue_are_submitted_again(disturbed):
    again = sum(resubmitted for _, resubmitted in disturbed.faults.values())
    assert submitted(disturbed.first_run, "train") == len(CONDITIONS) + again


def test_after_the_death_of_snakemake_nothing_finished_is_made_again(disturbed):
    """Nor what its jobs finished when it was dead."""
    evaluated = submitted(disturbed.first_run, "evaluate")
    assert evaluated > 0
    second = {rule: submitted(disturbed.second_run, rule) for rule in ("train", "evaluate")}
    assert second == {"train": 0, "evaluate": len(CONDITIONS) - evaluated}
    assert "Nothing to be done" in disturbed.run("--cores", "1", "--dry-run")


# ── Duplicates ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("slurm", ["noaccounting"], indirect=True)
def test_a_job_that_is_submitted_twice_works_once(slurm, undisturbed, tmp_path):
    """By a Snakemake that knows nothing of the jobs of the one before, and is not waited for."""
    place, results = Place(tmp_path), tmp_path / "results/smallest"
    shutil.copytree(undisturbed.folder / "results/smallest/waves", results / "waves")
    cells = [f"gold/compact-w4-d2/{c}/r000-001" for c in CONDITIONS[:2]]
    targets = [f"results/smallest/networks/{cell}.safetensors" for cell in cells]
    logs = [results / f"logs/train/{cell}.log" for cell in cells]
    first, held = place.start(*on_slurm(slurm), targets=targets), {}

    def all_held() -> bool:
        assert first.poll() is None, place.printed()
        for log in logs:
            for file in log.with_suffix(".lease").glob("*,*"):
                if log not in held:
                    held[log] = Holder.of(file.name)
                    os.kill(int(held[log].process), signal.SIGSTOP)
        return len(held) == len(logs)

    try:
        wait("both jobs work", all_held, pause=0.02)
        first.kill()
        first.wait()
        place.run(*on_slurm(slurm), "--unlock")
        second = place.start(*on_slurm(slurm), targets=targets)
        running = ("squeue", "--noheader", "--states=RUNNING")

        def all_wait() -> bool:
            assert second.poll() is None, place.printed()
            return all(f"waited for: {held[log]}" in read(log) for log in logs)

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


# ── Disks ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("slurm", ["noaccounting"], indirect=True)
def test_a_full_disk_is_named_and_a_rerun_completes(slurm, undisturbed, disk, tmp_path):
    place = Place(tmp_path / "place")
    (place.folder / "results").symlink_to(disk.folder)
    waves = undisturbed.folder / "results/smallest/waves"
    shutil.copytree(waves, disk.folder / "smallest/waves")
    target = f"results/smallest/networks/gold/compact-w4-d2/{CONDITIONS[0]}/r000-001.safetensors"
    disk.fill()
    arguments = [*on_slurm(slurm), "--retries", "0"]
    place.run(*arguments, targets=[target], fails=True)
    # The job's own log is on the full disk too.
    (log,) = place.folder.glob("logs/slurm/rule_train/*/*.log")
    words = r"error: train .*: no space left: 0 of 0\.0021 GB are free; make room and run again\n"
    assert re.search(words, log.read_text())
    assert not list(disk.folder.rglob("*.safetensors"))
    (disk.folder / "filling").unlink()
    place.run(*arguments, targets=[target])
    assert same_networks(place, undisturbed, target)


@pytest.mark.parametrize("slurm", ["noaccounting"], indirect=True)
def test_damaged_stores_are_named_set_aside_and_made_again(slurm, undisturbed, tmp_path):
    """Bytes that are flipped, a file that is cut off, and an empty folder, each in another job."""
    place, results = Place(tmp_path / "place"), tmp_path / "place/results/smallest"
    cells = [f"gold/compact-w4-d2/{c}/r000-001" for c in CONDITIONS[:3]]
    for name in ("waves", *(f"networks/{Path(cell).parent}" for cell in cells)):
        shutil.copytree(undisturbed.folder / "results/smallest" / name, results / name)
    flipped, short = (results / f"networks/{cell}.safetensors" for cell in cells[:2])
    content = bytearray(flipped.read_bytes())
    content[-1] ^= 1
    flipped.write_bytes(content)
    short.write_bytes(short.read_bytes()[:1000])
    empty = results / "waves/gold/test/00000.zarr.zip"
    empty.unlink()
    empty.mkdir()
    damaged, records = [flipped, short, empty], [f"records/{cell}.zarr.zip" for cell in cells]
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
            store.read(p.folder / "results/smallest" / record, store.RECORD)
            for p in (place, undisturbed)
        )
        assert mine.drop_attrs().identical(other.drop_attrs())


# ── Resources ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("slurm", ["accounting"], indirect=True)
def test_jobs_on_a_node_see_their_own_gpu_and_others_none(slurm, tmp_path):
    """Rules of the names that the profile knows, all on one node."""
    place = Place(tmp_path)
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
    shell: "echo gpu:$CUDA_VISIBLE_DEVICES $SLURMD_NODENAME > {{output}}; sleep 5"
rule aggregate:
    output: "aggregate"
    resources: slurm_extra="--nodelist=gpu1"
    shell: "echo gpu:${{{{CUDA_VISIBLE_DEVICES:-}}}} $SLURMD_NODENAME > {{output}}; sleep 5"
"""
    )
    place.run(*on_slurm(slurm))
    seen = {name: (tmp_path / name).read_text().strip() for name in ("train1", "train2")}
    assert set(seen.values()) == {"gpu:0 gpu1", "gpu:1 gpu1"}
    assert (tmp_path / "aggregate").read_text().strip() == "gpu: gpu1"


# ── Overhead ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("slurm", ["accounting"], indirect=True)
def test_what_a_job_takes_besides_its_work_is_measured(slurm):
    command = [sys.executable, ROOT / "benchmarks/overhead.py", "--quick"]
    printed = output(*map(str, command))
    rows = [[cell.strip() for cell in line.split("|")] for line in printed.splitlines()]
    measured = {row[1]: float(row[3]) for row in rows if row[1].startswith("figure_ctf: ")}
    assert len(measured) == 3
    assert measured["figure_ctf: sbatch to start, in an idle queue [s]"] >= 0
    assert 1 < measured["figure_ctf: start-up and end [s]"] < 300
    assert cluster.accounting()  # the running cluster was used, and left


# ── Preflight ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("slurm", ["accounting"], indirect=True)
def test_preflight_looks_at_a_node_as_train_finds_it(slurm, tmp_path):
    """The nodes' GPUs are make-believe, which it finds out; without one, all is well."""
    places = [Place(tmp_path / name) for name in ("gpu", "cpu")]
    with_gpu, without = (
        place.start(*on_slurm(slurm), *more, targets=["results/smallest/preflight.txt"])
        for place, more in zip(places, ([], ["--set-resources", "preflight:gpu=0"]), strict=True)
    )
    assert with_gpu.wait(timeout=PATIENCE) != 0
    assert without.wait(timeout=PATIENCE) == 0, places[1].printed()
    failed = read(places[0].folder / "results/smallest/logs/preflight.log")
    assert re.search("GPU +FAILED", failed)
    assert not (places[0].folder / "results/smallest/preflight.txt").exists()
    report = read(places[1].folder / "results/smallest/preflight.txt")
    assert "FAILED" not in report
    for check in ("packages", "CuPy", "threads", "file system", "disk", "SLURM"):
        assert re.search(rf"^{check} +ok", report, re.M), check
    assert re.search("^GPU +(ok|warning)", report, re.M)
