"""Checks whether this machine can run a study's jobs, and says what to do if not.

Each check tests one property of the machine by a small trial. A check raises no error, because
its result says what went wrong.
"""

import importlib
import os
import re
import secrets
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

from passband.errors import PassbandError
from passband.outcomes import Outcome
from passband.results import Results
from passband.runs import counts, file_sizes
from passband.words import in_bytes

#: Levels of a check's result. A warning means that jobs run, but that they could run faster or
#: more safely.
OK, WARNING, FAILED = "ok", "warning", "FAILED"

#: Modules that jobs import. Passband's modules in this list import the other modules of Passband.
MODULES = (
    "numpy",
    "scipy",
    "numba",
    "xarray",
    "zarr",
    "dask",
    "ase",
    "torch",
    "lightning",
    "segmentation_models_pytorch",
    "matplotlib",
    "seaborn",
    "snakemake",
    "passband.specimens.exit_waves",  # can be imported even if CuPy is broken
    "passband.learning.training",
    "passband.learning.evaluation",
    "passband.figures.gallery",
    "passband.figures.prediction",
)

#: Environment variables in which SLURM lists the GPUs of a job.
_ALLOTTED = ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_GPUS", "SLURM_STEP_GPUS")

#: On a cluster without accounting, minimum time for which SLURM's controller must remember a job
#: that ended [s]. This time is three times the delay before the first status check in
#: profiles/slurm-noaccounting. If the controller remembers jobs for a shorter time, the SLURM
#: plugin calls sacct, which such a cluster lacks, and waits without end.
MIN_JOB_AGE_S = 60


@dataclass(frozen=True)
class Result:
    """The result of a check.

    Attributes:
        level: One of :data:`OK`, :data:`WARNING` and :data:`FAILED`.
        found: What the check found, in a few words.
        remedy: What the user can do; "" if the user need not do anything.
    """

    level: str
    found: str
    remedy: str = ""


@dataclass(frozen=True)
class Preflight(Outcome):
    """Whether a machine can run a study's jobs.

    Attributes:
        checks: The result of each check by its name.
    """

    checks: Mapping[str, Result]

    @property
    def failed(self) -> list[str]:
        """The names of the checks that failed."""
        return [name for name, result in self.checks.items() if result.level == FAILED]

    def __str__(self) -> str:
        wide = max(map(len, self.checks))
        lines = []
        for name, result in self.checks.items():
            lines.append(f"{name:<{wide}}  {result.level:<7}  {result.found}")
            if result.remedy:
                lines.append(f"{'':<{wide}}           → {result.remedy}")
        return "\n".join(lines)

    def raise_on_failure(self) -> None:
        """Raise PassbandError if a check failed. The checks were printed before."""
        if self.failed:
            raise PassbandError(
                f"{len(self.failed)} of {len(self.checks)} checks failed: "
                f"{', '.join(self.failed)}; the table above says what to do"
            )


def run(results: Results) -> Preflight:
    """Run all checks.

    Args:
        results: The study, whose folder is made if it does not exist.
    """
    # The import of abTEM takes seconds, and only a study that chose it needs it.
    engine = results.study.microscope.engine_part.declaration.imports
    checks: dict[str, Callable[[], Result]] = {
        "imports": partial(imports, [*MODULES, *engine]),
        "GPU": gpu,
        "file system": partial(file_system, results.folder),
        "disk": partial(disk, results),
        "profile": profile,
    }
    found = {}
    for name, check in checks.items():
        try:
            found[name] = check()
        except Exception as error:
            found[name] = Result(
                FAILED, _says(error), "this check has a bug: please report it with the line above"
            )
    return Preflight(found)


def _says(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


# ── The checks ───────────────────────────────────────────────────────────────────────────────────


def imports(modules: Sequence[str] = MODULES) -> Result:
    """Check whether all modules that jobs need can be imported."""
    broken = []
    for module in modules:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # such as that of a broken CuPy
                importlib.import_module(module)
        except Exception as error:
            broken.append(f"{module} ({_says(error)})")
    if broken:
        return Result(
            FAILED,
            f"not importable: {', '.join(broken)}",
            "install Passband again on this kind of node, and start the run from that environment",
        )
    names = ("passband", "torch", "lightning", "abtem", "zarr", "xarray", "snakemake")
    return Result(OK, ", ".join(f"{name} {version(name)}" for name in names))


def gpu() -> Result:
    """Check whether torch computes on a GPU, if this node has one."""
    import torch

    allotted = {name: os.environ[name] for name in _ALLOTTED if os.environ.get(name)}
    variables = ", ".join(f"{name}={value}" for name, value in allotted.items())
    if torch.cuda.is_available():
        try:
            # A convolution needs cuDNN; simple arithmetic does not.
            images = torch.ones(1, 1, 8, 8, device="cuda")
            total = torch.nn.functional.conv2d(images, torch.ones(1, 1, 3, 3, device="cuda"))
            right = float(total.sum()) == 9 * 36
        except Exception as error:
            return Result(
                FAILED,
                f"{torch.cuda.get_device_name()}: {_says(error)}",
                "another program may use the GPU, or the driver is too old for this torch: run "
                "nvidia-smi",
            )
        name = f"{torch.cuda.device_count()} × {torch.cuda.get_device_name()}"
        found = f"{name}, CUDA {torch.version.cuda}{', ' if variables else ''}{variables}"
        if not right:
            return Result(FAILED, f"{found}: a convolution is wrong", "use another node")
        return Result(OK, found)
    built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPUs only"
    if allotted or shutil.which("nvidia-smi"):
        return Result(
            FAILED,
            f"torch {torch.__version__}, built for {built}, finds no GPU, but this node has one: "
            f"{variables or 'nvidia-smi is installed'}",
            "run nvidia-smi: the driver may be older than torch's CUDA; or CUDA_VISIBLE_DEVICES "
            "is empty; or install a torch built for CUDA",
        )
    found = f"none on this node; torch is built for {built}"
    if "SLURM_JOB_ID" not in os.environ:
        return Result(OK, f"{found}: networks train on the CPU")
    return Result(
        WARNING,
        found,
        "networks train slowly on the CPU; if this node should have a GPU, set `gpu: 1` in the "
        "profile",
    )


def file_system(folder: Path) -> Result:
    """Check whether the file system renames files atomically, and flushes files to the disk."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        made = tempfile.TemporaryDirectory(prefix=".preflight-", dir=folder)
    except OSError as error:
        return Result(FAILED, f"{folder}: {error.strerror}", "results must be written there")
    with made as name:
        place = Path(name)
        for what, check in (
            ("a file renamed over another", _rename_over_file),
            ("a folder renamed into place", _rename_folder),
            ("a rename over a folder that is not empty refused", _refuse_rename),
            ("a file flushed to disk", _flush),
        ):
            try:
                right = check(place)
            except OSError as error:
                right, what = False, f"{what} ({_says(error)})"
            if not right:
                return Result(
                    FAILED,
                    f"{folder} does not support this: {what}",
                    "a crash could leave incomplete results: put them on another file system, such "
                    "as the cluster's scratch, by a clone there or a link named results",
                )
    return Result(OK, f"{folder}: renames are atomic, flushes work")


def _rename_over_file(place: Path) -> bool:
    old, new = place / "old", place / "new"
    old.write_text("old")
    new.write_text("new")
    new.replace(old)
    return old.read_text() == "new" and not new.exists()


def _rename_folder(place: Path) -> bool:
    (place / "beside").mkdir()
    (place / "beside" / "file").write_text("x")
    (place / "empty").mkdir()
    (place / "beside").rename(place / "empty")  # POSIX: rename replaces an empty folder
    return (place / "empty" / "file").read_text() == "x" and not (place / "beside").exists()


def _refuse_rename(place: Path) -> bool:
    for name in ("one", "two"):
        (place / name).mkdir()
        (place / name / name).touch()
    with suppress(OSError):
        (place / "two").rename(place / "one")
    return (place / "one" / "one").exists()


def _flush(place: Path) -> bool:
    text = secrets.token_bytes(4096)
    with open(place / "flushed", "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return (place / "flushed").read_bytes() == text


def disk(results: Results) -> Result:
    """Check whether the disk has space for the study's files that do not exist yet."""
    counted = counts.count(results.study)
    # Snakemake writes a file for each output.
    files = counted.files + sum(counted.jobs.values())
    # An upper limit, for which nothing is simulated.
    needed = round(file_sizes.at_most(results.study).total(results.study))
    folder = results.folder
    existing = next(path for path in (folder, *folder.resolve().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    slots = os.statvfs(existing).f_favail if hasattr(os, "statvfs") else 0
    if free < needed:  # counting existing files is slow
        found = (path.stat() for path in _files(folder) if not path.name.startswith("."))
        # A second name of a file needs no space.
        needed -= sum({(file.st_dev, file.st_ino): file.st_size for file in found}.values())
    found = f"{in_bytes(free)} free, the study may write {in_bytes(max(0, needed))} more"
    if free < needed:
        return Result(
            FAILED,
            found,
            "make room, or use a larger file system; a smaller architecture, fewer replicas or "
            "fewer structures need less",
        )
    if 0 < slots < files:
        return Result(FAILED, f"{found}, but only {slots:,} of {files:,} files fit", "delete files")
    return Result(OK, f"{found}; this check does not see quotas")


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def profile() -> Result:
    """Check whether SLURM answers, and name the profile that fits its accounting."""
    inside = os.environ.get("SLURM_JOB_ID")
    if not shutil.which("scontrol"):
        if inside:
            return Result(
                OK, f"job {inside}; no scontrol on this node; only Snakemake's node needs it"
            )
        return Result(OK, "not installed on this node")
    config = _answer("scontrol", "show", "config")
    if config is None:
        if inside:
            return Result(
                WARNING,
                f"job {inside}, but scontrol does not answer",
                "jobs run without it, but Snakemake's node needs it; check there: scontrol show "
                "config",
            )
        return Result(OK, "installed, but no cluster answers")
    keys = dict(re.findall(r"^(\w+) *= (.*?) *$", config, re.M))
    age = int(re.match(r"\d*", keys.get("MinJobAge", ""))[0] or 0)
    kind = keys.get("AccountingStorageType", "(null)").removeprefix("accounting_storage/")
    where = f"{keys.get('ClusterName', 'a cluster')}{f', job {inside}' if inside else ''}"
    found = f"{where}: accounting {kind}, MinJobAge {age} s"
    if kind == "slurmdbd":
        listed = _answer("sacct", "--noheader", "--format=jobid", "--starttime=now-1hour")
        if listed is None or (inside and not listed.strip()):  # SLURM lists at least this job
            return Result(
                WARNING,
                f"{found}, but sacct does not list this hour's jobs",
                "run `sacct` on Snakemake's node; if it lists no job there either, use "
                "--profile profiles/slurm-noaccounting",
            )
        return Result(OK, f"{found}; sacct answers: --profile slurm")
    if age < MIN_JOB_AGE_S:
        return Result(
            FAILED,
            f"{found}: Snakemake would not notice the end of a job",
            "in profiles/slurm-noaccounting, set slurm-init-seconds-before-status-checks to a "
            f"third of MinJobAge, or request MinJobAge = {MIN_JOB_AGE_S} s or more in slurm.conf",
        )
    return Result(OK, f"{found}: --profile profiles/slurm-noaccounting")


def _answer(*command: str) -> str | None:
    """Return the output of a command, or None if the command fails or takes longer than 20 s."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
