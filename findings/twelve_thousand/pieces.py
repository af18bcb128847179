"""Runs the pieces of studies/twelve-thousand.yaml, one for each defocus, and measures each run."""

import csv
import os
import resource
import threading
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil  # comes with Snakemake
import yaml

from passband import PassbandError
from passband.config import load, study_file
from passband.results import layout
from passband.runs import child, workflow
from passband.storage import provenance

WHOLE = Path("studies/twelve-thousand.yaml")
#: The folder of the page, and that of its tables. The packed results of the pieces are in `parts`.
FOLDER = Path("findings/twelve_thousand")
DATA = FOLDER / "data"
#: The stages of a piece, which are the names of the scripts in workflow/scripts.
STAGES = ("simulate", "train", "evaluate", "aggregate")
#: Seconds between two looks at the processes of a run.
INTERVAL_S = 1.0


def piece_name(study: str, number: int) -> str:
    """Return the name of a piece; the first piece has the number 1."""
    return f"{study}-{number:02d}"


def piece_content(whole: Path, number: int) -> dict[str, Any]:
    """Return the content of a piece's study file: the whole study with one of its defocus values.

    Args:
        whole: The file of the whole study, whose grid is a product.
        number: The number of the piece, from 1 to the number of defocus values.

    Raises:
        PassbandError: If there is no such piece.
    """
    study, content = load(whole), study_file.read(whole)
    values = study.train_axes["defocus_nm"]
    if not 1 <= number <= len(values):
        raise PassbandError(f"piece = {number}: must be between 1 and {len(values)}")
    # Without this, a piece would be tested under its own defocus only.
    content["test_grid"] = study.test_axes
    content["grid"] = study.train_axes | {"defocus_nm": [values[number - 1]]}
    content["study"]["name"] = piece_name(study.study.name, number)
    return content


def check_pieces(ids: Iterable[str], where: str | Path, whole: Path = WHOLE) -> None:
    """Check that results have the training conditions of the whole study.

    Args:
        where: The results, for the message.

    Raises:
        PassbandError: If training conditions are missing, or the whole study does not have them.
    """
    study, there = load(whole), set(ids)
    lacking = {c.defocus_nm for c in study.train_conditions if c.id not in there}
    if pieces := [k for k, v in enumerate(study.train_axes["defocus_nm"], 1) if v in lacking]:
        words = ", ".join(map(str, pieces))
        raise PassbandError(f"{where}: networks of piece {words} are missing; run this piece first")
    if more := there - {c.id for c in study.train_conditions}:
        raise PassbandError(f"{where}: {min(more)} is no training condition of {whole}")


def check_lines(rows: Iterable[Mapping[str, str]], where: Path, whole: Path = WHOLE) -> None:
    """Check that the table of what the pieces took has one line for each piece.

    Raises:
        PassbandError: If a piece has no line, or has several.
    """
    study, names = load(whole), [row["part"] for row in rows]
    for number in range(1, len(study.train_axes["defocus_nm"]) + 1):
        if (lines := names.count(piece_name(study.study.name, number))) != 1:
            raise PassbandError(f"{where}: piece {number} has {lines} lines; it must have one")


class Watch:
    """Measures the processes that this process has started, in a thread, until it is closed.

    Snakemake's own benchmark files are no measure of processor time here: Snakemake looks at a
    process every 30 seconds, and misses what the process did after the last look.

    Attributes:
        seconds: Processor time [s] of the jobs of each stage in :data:`STAGES`.
        peak_bytes: Largest memory of all processes together [bytes]; shared memory is counted once.
    """

    def __init__(self, interval_s: float = INTERVAL_S):
        self._interval, self._stop = interval_s, threading.Event()
        self._of_process: dict[tuple[int, float], tuple[str, float]] = {}
        self.peak_bytes = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def seconds(self) -> dict[str, float]:
        found = list(self._of_process.values())
        return {stage: sum(s for of, s in found if of == stage) for stage in STAGES}

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            self.look()

    def look(self) -> None:
        """Note the processor time and the memory of all processes that run now."""
        memory = 0
        for process in psutil.Process().children(recursive=True):
            try:
                times = process.cpu_times()
                key = process.pid, process.create_time()
                stage = stage_of(process.cmdline())
                memory += process.memory_full_info().pss
            except psutil.Error:
                continue  # the process has just ended
            self._of_process[key] = stage, times.user + times.system
        self.peak_bytes = max(self.peak_bytes, memory)


def stage_of(words: Iterable[str]) -> str:
    """Return the stage whose script a process runs, or "" for other processes, from its command.

    Snakemake runs a copy of the script with a name such as ``tmp0qf3.train.py``.
    """
    for word in words:
        name = Path(word).name
        for stage in STAGES:
            if name == f"{stage}.py" or name.endswith(f".{stage}.py"):
                return stage
    return ""


def size(folder: Path) -> tuple[int, int]:
    """Return the number of files in a folder, and their bytes; linked files are counted once."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    sizes = {(s.st_dev, s.st_ino): s.st_size for s in (path.stat() for path in files)}
    return len(files), sum(sizes.values())


def append(path: Path, row: Mapping[str, Any]) -> None:
    """Append a row to a table, which begins with the names of its columns."""
    is_new = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerow(row)


def read(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def run(file: Path, results: Path, cores: int) -> int:
    """Run a study to its table of results, and return Snakemake's exit status.

    What the run took is appended to ``runs.csv`` in the folder of results, also if the run was
    interrupted. If this process itself is killed, nothing is appended, so that its run is not
    counted.
    """
    command = workflow.command(file, Path(), [str(results / layout.TABLE)], cores=str(cores))
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with Watch() as watch:
        status = child.run(command, Path()).status
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    of_stage = watch.seconds
    row = {"wall_s": time.monotonic() - start}
    row |= {f"{stage}_cpu_s": seconds for stage, seconds in of_stage.items()}
    row["snakemake_cpu_s"] = total - sum(of_stage.values())
    row["peak_memory_MB"] = watch.peak_bytes / 1e6
    append(results / "runs.csv", {name: f"{value:.1f}" for name, value in row.items()})
    return status


def joined(runs: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return what several runs of a piece took together: sums, and the largest memory."""
    rows = [{name: float(value) for name, value in run.items()} for run in runs]
    whole = {
        name: (max if name == "peak_memory_MB" else sum)(row[name] for row in rows)
        for name in rows[0]
    }
    return {"runs": f"{len(rows)}"} | {name: f"{value:.1f}" for name, value in whole.items()}


def piece(number: int, cores: int, whole: Path = WHOLE, folder: Path = DATA) -> int:
    """Run a piece, pack its results, and add a line about it to the table of what the pieces took.

    A piece that was interrupted continues where it was.

    Returns:
        0 after success, and otherwise Snakemake's exit status.

    Raises:
        PassbandError: If there is no such piece, or its packed results exist.
    """
    content = piece_content(whole, number)
    name = content["study"]["name"]
    if there := sorted((folder / "parts").glob(f"{name}[.-]*")):
        raise PassbandError(f"{there[0]}: exists; this piece is complete")
    results = Path("results") / name
    file = results.with_suffix(".yaml")
    file.parent.mkdir(exist_ok=True)
    file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    study = load(file)
    if status := run(file, results, cores):
        return status
    files, written = size(results)
    made = provenance.attributes(name, study.digest, "")
    row = {
        "part": name,
        "defocus_nm": f"{content['grid']['defocus_nm'][0]:g}",
        "networks": f"{study.train_number * study.study.replicas}",
        "commit": made["git_revision"],
        "finished": datetime.now(UTC).isoformat(timespec="minutes"),
        "cores": f"{min(cores, os.cpu_count() or 1)}",
        **joined(read(results / "runs.csv")),
        "files": f"{files}",
        "MB": f"{written / 1e6:.1f}",
    }
    from findings.twelve_thousand import packed  # which needs the names of this module

    packed.write(results, folder / "parts")
    append(folder / "parts.csv", row)
    return 0
