"""Whether the machine that this runs on can do a study's jobs, and what to do where it cannot.

Every check looks at one thing, does it in small, and never raises: what goes wrong is its result.
"""

import importlib
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib.machinery import PathFinder
from importlib.metadata import version
from pathlib import Path

from passband import PassbandError, jobs, plan
from passband.config import Study

#: What a check can find. A warning is of what works, but not as well as it could.
OK, WARNING, FAILED = "ok", "warning", "FAILED"

#: What jobs import; of Passband, what imports the rest.
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
    "passband.simulate",  # abTEM, also where CuPy is broken
    "passband.training",
    "passband.evaluation",
    "passband.figures",
)

#: How SLURM tells a job of the GPUs that it was allotted.
_ALLOTTED = ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_GPUS", "SLURM_STEP_GPUS")

#: Seconds for which a controller without accounting must remember a job that ended: three times the
#: time to the first question that profiles/slurm-noaccounting sets. Below it the SLURM plugin asks
#: sacct after all, and waits for ever.
MIN_JOB_AGE_S = 60


@dataclass(frozen=True)
class Result:
    """What a check found.

    Attributes
    ----------
    level : str
        One of :data:`OK`, :data:`WARNING` and :data:`FAILED`.
    found : str
        In a few words.
    remedy : str
        What to do, unless all is well.
    """

    level: str
    found: str
    remedy: str = ""


def run(study: Study, results: Path, threads: int) -> dict[str, Result]:
    """Return the results of all checks by name.

    Parameters
    ----------
    study : Study
        What is to be done here.
    results : path
        Where its files go; made if it is not there.
    threads : int
        Cores that a job may use.
    """
    checks: dict[str, Callable[[], Result]] = {
        "packages": packages,
        "GPU": gpu,
        "CuPy": cupy,
        "threads": partial(cores, threads),
        "file system": partial(file_system, results),
        "disk": partial(disk, study, results),
        "SLURM": slurm,
    }
    found = {}
    for name, check in checks.items():
        try:
            found[name] = check()
        except Exception as error:
            found[name] = Result(
                FAILED, _says(error), "a fault of this check: please report it, with the line above"
            )
    return found


def table(results: dict[str, Result]) -> str:
    """Return results as lines of text, what to do about each under it."""
    wide = max(map(len, results))
    lines = []
    for name, result in results.items():
        lines.append(f"{name:<{wide}}  {result.level:<7}  {result.found}")
        if result.remedy:
            lines.append(f"{'':<{wide}}           → {result.remedy}")
    return "\n".join(lines)


def demand(results: dict[str, Result]) -> None:
    """Raise an error that names the checks that failed, if any did.

    Raises
    ------
    PassbandError
        It says where to read on: the table stands above it.
    """
    if failed := [name for name, result in results.items() if result.level == FAILED]:
        raise PassbandError(
            f"{len(failed)} of {len(results)} checks failed: {', '.join(failed)}; the table above "
            "says what to do"
        )


def _says(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


# ── The checks ───────────────────────────────────────────────────────────────────────────────────


def packages(modules: Sequence[str] = MODULES) -> Result:
    """Whether all that jobs import can be imported."""
    broken = []
    for module in modules:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the check of CuPy says it
                importlib.import_module(module)
        except Exception as error:
            broken.append(f"{module} ({_says(error)})")
    if broken:
        return Result(
            FAILED,
            f"not importable: {', '.join(broken)}",
            "run `make setup` on this kind of node, and start Snakemake from that environment",
        )
    names = ("passband", "torch", "lightning", "abtem", "zarr", "xarray", "snakemake")
    return Result(OK, ", ".join(f"{name} {version(name)}" for name in names))


def gpu() -> Result:
    """Whether torch computes on a GPU, if one is there for it."""
    import torch

    allotted = {name: os.environ[name] for name in _ALLOTTED if os.environ.get(name)}
    told = ", ".join(f"{name}={value}" for name, value in allotted.items())
    if torch.cuda.is_available():
        try:
            # A convolution needs cuDNN, which the arithmetic alone does not.
            images = torch.ones(1, 1, 8, 8, device="cuda")
            total = torch.nn.functional.conv2d(images, torch.ones(1, 1, 3, 3, device="cuda"))
            right = float(total.sum()) == 9 * 36
        except Exception as error:
            return Result(
                FAILED,
                f"{torch.cuda.get_device_name()}: {_says(error)}",
                "the GPU may be taken, or its driver too old for this torch: see nvidia-smi",
            )
        name = f"{torch.cuda.device_count()} × {torch.cuda.get_device_name()}"
        found = f"{name}, CUDA {torch.version.cuda}{', ' if told else ''}{told}"
        if not right:
            return Result(FAILED, f"{found}: a convolution is wrong", "take another node")
        return Result(OK, found)
    built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPUs alone"
    if allotted or shutil.which("nvidia-smi"):
        return Result(
            FAILED,
            f"torch {torch.__version__}, built for {built}, sees no GPU, and there is one: "
            f"{told or 'nvidia-smi is here'}",
            "see nvidia-smi: the driver may be older than torch's CUDA; or CUDA_VISIBLE_DEVICES "
            "names none; or install a torch built for CUDA",
        )
    return Result(
        WARNING,
        f"none here; torch is built for {built}",
        "networks train on the CPU, slowly; if this node should have a GPU, ask for `gpu: 1` in "
        "the profile",
    )


def cupy() -> Result:
    """Whether multislice runs on the GPU: CuPy computes, and is for the CUDA that torch is for."""
    import torch

    from passband import simulate

    install = "install the extra `gpu`: make setup EXTRAS=gpu, or pip install 'passband[gpu]'"
    slow = f"multislice runs on the CPU, slowly; {install}"
    if simulate.cupy is None:
        if PathFinder.find_spec("cupy"):
            tried = subprocess.run(
                [sys.executable, "-c", "import cupy"], capture_output=True, text=True
            )
            why = (tried.stderr.strip().splitlines() or ["no reason given"])[-1]
            return Result(WARNING, f"CuPy is installed but does not import: {why}", slow)
        if torch.cuda.is_available():
            return Result(WARNING, "CuPy is not installed", slow)
        return Result(OK, "not installed, and no GPU for it: multislice runs on the CPU")
    found = f"CuPy {simulate.cupy.__version__}"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        device = simulate.resolve_device()
    if caught:
        return Result(WARNING, f"{found}: {' '.join(str(caught[-1].message).split())}", slow)
    if device == "cpu":
        level = WARNING if torch.cuda.is_available() else OK
        return Result(
            level, f"{found} sees no GPU: multislice runs on the CPU", slow * (level != OK)
        )
    number = simulate.cupy.cuda.runtime.runtimeGetVersion()  # 12080 is 12.8
    found = f"{found} for CUDA {number // 1000}.{number % 1000 // 10} computes on the GPU"
    ours = (torch.version.cuda or "").partition(".")[0]
    if ours and ours != str(number // 1000):
        return Result(
            WARNING,
            f"{found}, but torch is for CUDA {torch.version.cuda}",
            f"each works by itself; to be safe, install cupy-cuda{ours}x in place of this CuPy",
        )
    return Result(OK, found)


def cores(threads: int) -> Result:
    """Whether the numerical libraries can be held to a job's cores, and these are there."""
    import numba
    import threadpoolctl
    import torch

    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    jobs.cap_threads(threads)
    used = {"torch": torch.get_num_threads(), "numba": numba.get_num_threads()}
    for pool in threadpoolctl.threadpool_info():
        name = pool["internal_api"]
        used[name] = max(pool["num_threads"], used.get(name, 0))
    over = {name: number for name, number in used.items() if number > threads}
    found = f"{threads} for a job, {there} within reach"
    if over:
        many = ", ".join(f"{name} {number}" for name, number in over.items())
        return Result(
            FAILED,
            f"{found}, but {many}",
            "jobs would get in each other's way: unset the variables *_NUM_THREADS, or set them to "
            f"{threads}",
        )
    if there < threads:
        return Result(
            WARNING, found, "threads would share cores: ask for fewer in set-threads, or more cores"
        )
    return Result(OK, f"{found}; no library uses more")


def file_system(folder: Path) -> Result:
    """Whether the file system does what results rely on: rename at once, and flush."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".preflight-", dir=folder) as name:
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
                    f"{folder} does not do this: {what}",
                    "results would be torn after a crash: put them on another file system, such as "
                    "the cluster's scratch, by a clone there or a link named results",
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
    (place / "beside").rename(place / "empty")  # POSIX: an empty folder is replaced
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


def disk(study: Study, results: Path) -> Result:
    """Whether what is still to be written of a study has room."""
    needed, files = projected(study)
    existing = next(path for path in (results, *results.resolve().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    slots = os.statvfs(existing).f_favail if hasattr(os, "statvfs") else 0
    if free < needed:  # counting what is there already takes its time
        needed -= sum(
            path.stat().st_size for path in _files(results) if not path.name.startswith(".")
        )
    found = f"{_size(free)} free, the study may still write {_size(max(0, needed))}"
    if free < needed:
        return Result(
            FAILED,
            found,
            "make room, or take a larger file system; a smaller architecture, fewer replicas or "
            "fewer structures need less",
        )
    if 0 < slots < files:
        return Result(
            FAILED, f"{found}, but {slots:,} files more at most, of {files:,}", "make room"
        )
    return Result(OK, f"{found}; a quota is not seen from here")


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def projected(study: Study) -> tuple[int, int]:
    """Return how many bytes and files a whole study may write, Snakemake's notes included.

    As :func:`passband.plan.sizes` has it, but for exit waves and masks that are not compressed, so
    that nothing has to be simulated to know.
    """
    from passband import networks

    px, cropped = study.microscope.field_px, study.microscope.sampling.cropped
    wave_bytes = {
        # complex64, a mask, and instances on both faces.
        name: 8.0 * specimen.thermal.configurations * cropped**2 + 3 * px**2
        for name, specimen in study.specimens.items()
    }
    weight_bytes = {
        name: float(sum(t.nbytes for t in networks.build(name).state_dict().values()))
        for name in study.training.architectures
    }
    files = plan.counts(study).files
    noted = sum(files[name] for name in ("waves", "networks", "records"))
    size = sum(plan.sizes(study, wave_bytes, weight_bytes).values())
    return round(size), sum(files.values()) + noted


def _size(number: float) -> str:
    for unit in ("kB", "MB", "GB"):
        number /= 1000
        if number < 1000:
            return f"{number:.0f} {unit}"
    return f"{number / 1000:.1f} TB"


def slurm() -> Result:
    """Whether SLURM answers, and which profile its accounting and its memory of jobs fit."""
    inside = os.environ.get("SLURM_JOB_ID")
    if not shutil.which("scontrol"):
        if inside:
            return Result(
                OK, f"job {inside}; no scontrol on this node, Snakemake needs it where it runs only"
            )
        return Result(OK, "none here")
    config = _answer("scontrol", "show", "config")
    if config is None:
        if inside:
            return Result(
                WARNING,
                f"job {inside}, but scontrol does not answer",
                "jobs run all the same; Snakemake needs it where it runs, so check there: "
                "scontrol show config",
            )
        return Result(OK, "installed, but no cluster answers")
    keys = dict(re.findall(r"^(\w+) *= (.*?) *$", config, re.M))
    age = int(re.match(r"\d*", keys.get("MinJobAge", ""))[0] or 0)
    kind = keys.get("AccountingStorageType", "(null)").removeprefix("accounting_storage/")
    where = f"{keys.get('ClusterName', 'a cluster')}{f', job {inside}' if inside else ''}"
    found = f"{where}: accounting {kind}, MinJobAge {age} s"
    if kind == "slurmdbd":
        listed = _answer("sacct", "--noheader", "--format=jobid", "--starttime=now-1hour")
        if listed is None or (inside and not listed.strip()):  # this job at least
            return Result(
                WARNING,
                f"{found}, but sacct does not list this hour's jobs",
                "see what `sacct` says where Snakemake runs; if it lists none there, take "
                "--profile profiles/slurm-noaccounting",
            )
        return Result(OK, f"{found}; sacct answers: --profile slurm")
    if age < MIN_JOB_AGE_S:
        return Result(
            FAILED,
            f"{found}: the end of a job would never be noticed",
            "in profiles/slurm-noaccounting, set slurm-init-seconds-before-status-checks to a "
            f"third of that, or ask for a MinJobAge of {MIN_JOB_AGE_S} s or more in slurm.conf",
        )
    return Result(OK, f"{found}: --profile profiles/slurm-noaccounting")


def _answer(*command: str) -> str | None:
    """Return what a command prints, None if it fails or takes longer than 20 s."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
