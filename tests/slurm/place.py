"""A folder that looks like a clone of the repository, with Snakemake and a cluster's faults."""

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
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import cluster
import yaml
from snakemake.utils import update_config

from passband.grid import Axes
from passband.learning.deadline import SAVE_EVERY
from passband.results.stores import load_table
from passband.storage import StoreError
from passband.storage import weights as files

#: Seconds that anything may take: some are enough on a machine that does nothing else.
PATIENCE = 2000

ROOT = Path(__file__).parents[2]
TABLE = "results/smallest/table.zarr"
STUDY = yaml.safe_load((ROOT / "tests" / "data" / "smallest.yaml").read_text())
update_config(
    STUDY,
    {
        # One shard of structures for training, and one network of a condition.
        "study": {"structures": {"train": 8}, "replicas": 1, "replicas_per_job": 1},
        "grid": {"defocus_nm": [5, 10, 20]},
        # A job trains long enough to be stopped before its end.
        "training": {"epochs": 36},
    },
)
REPLICA = "r000-000"
CONDITIONS = [condition.id for condition in Axes.main.conditions(STUDY["grid"])]
#: Half of the grid's conditions.
THREE = STUDY | {"grid": STUDY["grid"] | {"dose_e_per_A2": [1000]}}
# This machine has two cores, and the number of threads changes the last digits.
RULES = ("simulate", "train", "evaluate", "information", "aggregate", "preflight")
THREADS = [f"{rule}=1" for rule in RULES]


#: Every Snakemake that was started: one that a failed test leaves is ended after it.
STARTED: list[subprocess.Popen] = []


def environment() -> dict[str, str]:
    """Return the environment of Snakemake: it sees no GPU, and its jobs save at every step."""
    inherited = {k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"}
    return inherited | {SAVE_EVERY: "0.001"}


class Place:
    """A folder that looks like a clone of the repository, and Snakemake in this folder."""

    def __init__(self, folder: Path, study: dict = STUDY):
        self.folder = folder
        folder.mkdir(exist_ok=True)
        for name in ("Snakefile", "config.yaml", "workflow", "profiles", "envs", "slurm"):
            (folder / name).symlink_to(ROOT / name)
        self.conditions = [condition.id for condition in Axes.main.conditions(study["grid"])]
        self.edit(study)
        self.runs = 0

    def edit(self, study: dict) -> None:
        """Write the study's file."""
        (self.folder / "study.yaml").write_text(yaml.safe_dump(study))

    def start(self, *arguments: str, targets: Sequence[str] = (TABLE,)) -> subprocess.Popen:
        command = [sys.executable, ROOT / "tests/slurm/frequent.py", *arguments]
        command += ["--configfile", "study.yaml", "--nocolor", *targets]
        self.runs += 1
        with (self.folder / f"run{self.runs}.log").open("w") as log:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        STARTED.append(process)
        return process

    def run(self, *arguments: str, targets: Sequence[str] = (TABLE,), fails: bool = False) -> str:
        """Run Snakemake to its end, check its exit status, and return its output."""
        process = self.start(*arguments, targets=targets)
        process.wait(timeout=PATIENCE)
        assert (process.returncode != 0) == fails, self.printed()
        return self.printed()

    def printed(self) -> str:
        """Return the output of the latest run."""
        return (self.folder / f"run{self.runs}.log").read_text()

    def table(self):
        """Return the table without the attributes about the time and place of its making."""
        return load_table(self.folder / TABLE).drop_attrs()


def with_waves(folder: Path, of: Place, study: dict = STUDY) -> Place:
    """Return a place for a study whose structures are simulated already."""
    place = Place(folder, study)
    for made in ("waves", "logs/simulate"):  # its logs vouch for what a job has made
        path = Path("results/smallest", made)
        shutil.copytree(of.folder / path, folder / path)
    return place


def on_slurm(profile: str) -> list[str]:
    """Return a test's options of Snakemake: those of the profile.

    Resources that this machine lacks are left out.
    """
    return [
        *("--profile", profile, "--slurm-init-seconds-before-status-checks", "1"),
        *("--set-threads", *THREADS),
    ]


def output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def read(log: Path) -> str:
    """Return the text of a log, or "" if the log does not exist."""
    return log.read_text() if log.exists() else ""


def wait(what: str, for_: Callable[[], object], seconds: float = PATIENCE, pause: float = 0.1):
    """Wait until a condition is true, and return its value."""
    deadline = time.monotonic() + seconds
    while not (found := for_()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(pause)
    return found


# ── Faults ───────────────────────────────────────────────────────────────────────────────────────


class Job:
    """A `train` job on the cluster, which a test stops before its end."""

    def __init__(self, place: Place, condition: str):
        saved = f"results/smallest/checkpoints/gold_compact-w4-d2_{condition}_{REPLICA}"
        self.folder, self.first = place.folder, place.folder / saved / "000.safetensors"
        self.condition = condition

    def hold(self) -> bool:
        """Stop the process of the job if the job has saved its state."""
        if not self.first.exists():
            return False
        process, self.slurm = process_of(self.folder, self.condition)
        self.process = os.pidfd_open(process)
        self.signal(signal.SIGSTOP)
        return True

    @cached_property
    def node(self) -> str:
        """The node of the job. Read this only while all jobs are stopped, since jobs could end."""
        return output("squeue", "--noheader", f"--jobs={self.slurm}", "--format=%N")

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.process, number)

    def preempt(self) -> None:
        """Submit a job that needs the whole node, to a partition with higher priority."""
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
        """Return all states of the job that SLURM has recorded."""
        if cluster.accounting():
            command = ("sacct", "-XDnP", f"--jobs={self.slurm}", "--format=State")
        else:
            command = ("squeue", "-ht", "all", f"--jobs={self.slurm}", "--format=%T")
        return set(output(*command).splitlines())


def process_of(place: Path, condition: str) -> tuple[int, str]:
    """Return the process and the job that train under a condition.

    The function finds the process by its open log.
    """
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if "train.py" not in (folder / "cmdline").read_text():
                continue
            if not (folder / "cwd").samefile(place):
                continue
            files = [os.readlink(descriptor) for descriptor in (folder / "fd").iterdir()]
            variables = (folder / "environ").read_text().split("\0")
        except OSError:  # the process has ended meanwhile
            continue
        if any(f"/logs/train/gold/compact-w4-d2/{condition}/" in file for file in files):
            (job,) = (v.partition("=")[2] for v in variables if v.startswith("SLURM_JOB_ID="))
            return int(folder.name), job
    raise AssertionError(f"no process trains under {condition}")


#: The states that a fault leaves in SLURM's records, and whether Snakemake submits the job again.
Expected = tuple[set[str], bool]
FAULTS = {
    "kill": ({"FAILED"}, True),
    "cancel": ({"CANCELLED by 0"}, True),
    "run_out_of_time": ({"TIMEOUT"}, True),
    "preempt": ({"PREEMPTED", "COMPLETED"}, False),
    "preempt_for_good": ({"PREEMPTED"}, True),
    "kill_node_daemon": ({"NODE_FAIL", "COMPLETED"}, False),
}
#: Without accounting, where a job's last state alone is known.
LAST = {
    "kill": ({"FAILED"}, True),
    "cancel": ({"CANCELLED"}, True),
    "run_out_of_time": ({"TIMEOUT"}, True),
    "preempt": ({"COMPLETED"}, False),
    "preempt_for_good": ({"PREEMPTED"}, True),
    "kill_node_daemon": ({"COMPLETED"}, False),
}
#: Three of them that are over soon.
BRIEF = {name: LAST[name] for name in ("cancel", "preempt", "preempt_for_good")}


def network(condition: str) -> str:
    """Return the path of the networks that were trained under a condition."""
    return f"results/smallest/networks/gold/compact-w4-d2/{condition}/{REPLICA}.safetensors"


def train_log(condition: str) -> str:
    """Return the path of the log of a condition's `train` job."""
    return f"results/smallest/logs/train/gold/compact-w4-d2/{condition}/{REPLICA}.log"


def in_slurm(printed: str, rule: str) -> int:
    """Return the jobs of a rule that SLURM has from a run of Snakemake.

    A Snakemake that was killed may have submitted jobs that it did not print any more.
    """
    name = re.search(r"SLURM run ID: (\S+)", printed)[1]
    jobs = output("squeue", "-ht", "all", f"--name={name}", "--format=%k").splitlines()
    return sum(f"rule_{rule}" in job for job in jobs)


def submitted(printed: str, rule: str) -> int:
    """Return the jobs of a rule that a run of Snakemake submitted."""
    return len(re.findall(rf"has been submitted with SLURM jobid .*/rule_{rule}/", printed))


def same_networks(place: Place, other: Place, name: str) -> bool:
    """Return whether the networks in two places are exactly equal."""
    loaded = (files.load(p.folder / name)[0] for p in (place, other))
    return len({files.fingerprint(weights) for weights in loaded}) == 1


class Watcher(threading.Thread):
    """Keeps jobs stopped, and records the number of optimizer steps in each saved state.

    Before SLURM kills a stopped process, it continues the process and waits for two seconds. In
    this time the process could end without an error.
    """

    def __init__(self, folder: Path):
        super().__init__(daemon=True)
        self.folder, self.held, self.over = folder, [], threading.Event()
        self.steps = defaultdict(list)

    def run(self) -> None:
        while not self.over.wait(0.02):
            for job in self.held:
                job.signal(signal.SIGSTOP)
            # Incomplete files have a name with a dot. A job's saved states are removed at its end.
            with contextlib.suppress(StoreError, OSError, RuntimeError):
                for path in self.folder.glob("*/[!.]*.safetensors"):
                    _, metadata = files.read(path)
                    self.steps[path].append(metadata["progress"]["steps"])


@contextlib.contextmanager
def watched(place: Place) -> Iterator[None]:
    """Keep stopped jobs stopped in a block of code. End them after an error."""
    place.watcher = Watcher(place.folder / "results/smallest/checkpoints")
    place.watcher.start()
    try:
        yield
    finally:
        place.watcher.over.set()
        place.watcher.join()
        for job in place.watcher.held:
            job.signal(signal.SIGKILL)


def strike(place: Place, snakemake: subprocess.Popen, faults: Mapping[str, Expected]) -> None:
    """Stop each `train` job when its first state is saved, and give each job its fault."""
    place.faults = faults
    place.jobs = {fault: Job(place, c) for fault, c in zip(faults, place.conditions, strict=True)}
    waiting = list(place.jobs.values())

    def all_held() -> bool:
        assert snakemake.poll() is None, place.printed()
        for job in waiting:
            if job.hold():
                place.watcher.held.append(job)
        waiting[:] = [job for job in waiting if job not in place.watcher.held]
        return not waiting

    wait("every train job has saved its state", all_held, pause=0.02)
    assert all(job.node for job in place.jobs.values())  # before a fault changes it
    for fault, job in place.jobs.items():
        getattr(job, fault)()
    if job := place.jobs.get("kill_node_daemon"):
        wait("a dead node is noticed", lambda: job.states() & {"NODE_FAIL", "PENDING"})
        cluster.start_node(job.node)


def disturb(place: Place, profile: str, faults: Mapping[str, Expected]) -> None:
    """Run the study on SLURM up to its table, with faults of jobs and then a killed Snakemake."""
    with watched(place):
        snakemake = place.start(*on_slurm(profile))
        strike(place, snakemake, faults)
        networks = [place.folder / network(c) for c in place.conditions]
        wait("training ends", lambda: all(path.exists() for path in networks))
        running = ("squeue", "--noheader", "--states=RUNNING", "--format=%k")
        wait("evaluation begins", lambda: "rule_evaluate" in output(*running))
        snakemake.kill()
        snakemake.wait()
        place.first_run = place.printed()
        # Snakemake's jobs continue without it.
        wait("the jobs that it left end", lambda: not output("squeue", "--noheader"))
        place.states = {fault: job.states() for fault, job in place.jobs.items()}
        place.run(*on_slurm(profile), "--unlock")
        place.second_run = place.run(*on_slurm(profile))
