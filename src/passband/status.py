"""Where a study stands, told from the names and times of its files and leases, and from the logs
of jobs that have begun and left no output. It needs no Snakemake to run, opens no store and writes
nothing.
"""

import math
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, product
from pathlib import Path

from passband import PassbandError, jobs, lease
from passband.config import SPLITS, ConfigError, Study, load
from passband.grid import AXES, Condition, batches

#: What a job can be.
STATES = ("done", "running", "failed", "waiting")

#: Seconds after which a job without a sign of life is taken for dead: some heartbeats, since clocks
#: differ and network file systems show a change late.
PATIENCE_S = 15 * lease.PULSE_S

#: A log that is younger than its job's output by more than this [s] is of a later attempt.
_MARGIN_S = 3 * lease.PULSE_S

#: Where the files lie that tell something; others are not looked at.
_FOLDERS = ("waves", "networks", "records", "logs")

_SYMBOLS = {"done": "█", "partly": "▒", "running": ">", "failed": "x", "waiting": "·"}
_COLOURS = {"done": 32, "partly": 32, "running": 33, "failed": 31, "waiting": 2}


@dataclass(frozen=True)
class Job:
    """A job of the workflow.

    Attributes
    ----------
    stage : str
        The rule's name.
    cell : tuple
        Specimen, architecture and condition id of a train or evaluate job, else empty.
    networks : int
        How many it is of.
    log : str
        Path of its log.
    state : str
        One of :data:`STATES`.
    time : float
        When its output, or if there is none its log or its lease, last changed; seconds since the
        epoch, 0 if there is neither.
    silent : bool
        Whether it failed without a word: killed, or its node went down.
    """

    stage: str
    cell: tuple[str, ...]
    networks: int
    log: str
    state: str
    time: float
    silent: bool = False


@dataclass(frozen=True)
class Status:
    """What every job of a study is at a time `now`, in seconds since the epoch."""

    study: Study
    results: Path
    jobs: tuple[Job, ...]
    now: float

    @cached_property
    def stages(self) -> dict[str, list[Job]]:
        """Jobs by stage, in the order of the workflow."""
        found: dict[str, list[Job]] = {}
        for job in self.jobs:
            found.setdefault(job.stage, []).append(job)
        return found

    @cached_property
    def cells(self) -> dict[tuple[str, ...], str]:
        """State of each cell (specimen, architecture, condition id), of all its networks, trained
        and tested: failed or running if one of its jobs is; done if all are; `partly` if some are.
        """
        states: dict[tuple[str, ...], set[str]] = {}
        for job in self.jobs:
            if job.cell:
                states.setdefault(job.cell, set()).add(job.state)
        return {cell: _together(found) for cell, found in states.items()}

    @property
    def failures(self) -> list[Job]:
        """Failed jobs, the newest first."""
        return sorted(
            (job for job in self.jobs if job.state == "failed"), key=lambda job: -job.time
        )

    @property
    def complete(self) -> bool:
        return all(job.state == "done" for job in self.jobs)

    def networks(self, stage: str) -> tuple[int, int]:
        """Return how many networks a stage is done with, and of how many."""
        done = sum(job.networks for job in self.stages[stage] if job.state == "done")
        return done, sum(job.networks for job in self.stages[stage])

    def rate(self, stage: str) -> tuple[float, float] | None:
        """Return networks per hour and the hours they were counted over, None if too few are there.

        Counted over the last hour, or as many more as ten jobs need to finish.
        """
        finished = sorted(
            (self.now - job.time, job.networks) for job in self.stages[stage] if job.state == "done"
        )
        for hours in (1, 6, 24, math.inf):
            inside = [pair for pair in finished if pair[0] <= 3600 * hours]
            if len(inside) >= 10 or (len(inside) > 1 and len(inside) == len(finished)):
                break
        else:
            return None
        if len(inside) == len(finished):
            # The work began within the time; how long before the first finished is not known.
            hours, inside = max(inside[-1][0], 1.0) / 3600, inside[:-1]
        return sum(networks for _, networks in inside) / hours, hours

    @property
    def end(self) -> float | None:
        """When training and testing end at this rate; None if nothing runs or no rate is known."""
        hours = []
        for stage in ("train", "evaluate"):
            done, total = self.networks(stage)
            found = self.rate(stage)
            if found and done < total:
                hours.append((total - done) / found[0])
        running = any(job.state == "running" for job in self.jobs)
        return self.now + 3600 * max(hours) if hours and running else None


def _together(states: set[str]) -> str:
    for state in ("failed", "running"):
        if state in states:
            return state
    return states.pop() if len(states) == 1 else "partly"


def find(path: Path) -> tuple[Study, Path]:
    """Return the study, and its folder of results, that a study file or such a folder names.

    A file's results are below the working directory, as Snakemake's are. A folder's study is sought
    in `config.yaml` and `studies/` beside the folder `results`.

    Raises
    ------
    PassbandError
        If there is no such study.
    """
    if not path.is_dir():
        study = load(path)
        return study, Path("results", study.study.name)
    folder = path.resolve()
    root = folder.parent.parent
    for file in (root / "config.yaml", *sorted((root / "studies").glob("*.yaml"))):
        with suppress(ConfigError):
            if (study := load(file)).study.name == folder.name:
                return study, path
    raise PassbandError(
        f"{path}: neither {root / 'config.yaml'} nor a file in {root / 'studies'} is a study of "
        "that name; give the study's file instead"
    )


def look(study: Study, results: Path, now: float | None = None) -> Status:
    """Return what every job of a study is.

    A job is done if its output is there, a record only if its networks are not younger; failed if
    its log says so, or does not say how it ended and neither it nor the job's lease has changed for
    :data:`PATIENCE_S`; running if one of them has; and waiting otherwise, also after Ctrl-C.

    Parameters
    ----------
    study : Study
        Its grid is what there is to do.
    results : path
        Where its files are, if there are any.
    now : float, optional
        Seconds since the epoch; by default the time that it is.
    """
    now = time.time() if now is None else now
    times = _times(results)

    def judged(stage: str, cell: tuple[str, ...], networks: int, output: str, log: str, after=0.0):
        made = times.get(output)
        if made is not None and made < after:
            made = None
        lived = times.get(log)
        if lived is not None:
            lived = max(lived, times.get(log.removesuffix(".log") + jobs.LEASE, 0.0))
        state, silent = _judge(stage, results / log, made, lived, now)
        when = made if state == "done" else lived
        return Job(stage, cell, networks, str(results / log), state, when or 0.0, silent)

    known = [judged(*described) for described in _described(study, times)]
    expected = {job.log for job in known}
    others = [log for log in times if log.startswith("logs/") and log.endswith(".log")]
    strays = (  # such as figures', of which no list stands here: they count where they failed
        judged(log.split("/")[1].removesuffix(".log"), (), 0, "", log)
        for log in sorted(others)
        if str(results / log) not in expected
    )
    return Status(study, results, (*known, *(job for job in strays if job.state == "failed")), now)


def _described(study: Study, times: dict[str, float]) -> Iterator[tuple]:
    """Yield stage, cell, networks, output and log of every job, and what it must be younger than.

    The paths are those of the workflow's rules.
    """
    of = study.study
    for specimen, split in product(study.specimens, SPLITS):
        for shard in range(-(-getattr(of.structures, split) // of.structures_per_shard)):
            name = f"{specimen}/{split}/{shard:05d}"
            yield "simulate", (), 0, f"waves/{name}.zarr.zip", f"logs/simulate/{name}.log"
    cells = [
        ((specimen, architecture, condition.id), batch, len(replicas))
        for specimen, architecture, condition, (batch, replicas) in product(
            study.specimens,
            study.training.architectures,
            study.train_conditions,
            batches(of.replicas, of.replicas_per_job).items(),
        )
    ]
    names = ["/".join((*cell, batch)) for cell, batch, _ in cells]
    for (cell, _, networks), name in zip(cells, names, strict=True):
        output = f"networks/{name}.safetensors"
        yield "train", cell, networks, output, f"logs/train/{name}.log"
    for (cell, _, networks), name in zip(cells, names, strict=True):
        trained = times.get(f"networks/{name}.safetensors", 0.0)
        output = f"records/{name}.zarr.zip"
        yield "evaluate", cell, networks, output, f"logs/evaluate/{name}.log", trained
    for stage, output in (("information", "information"), ("aggregate", "table"), ("ood", "ood")):
        yield stage, (), 0, f"{output}.zarr", f"logs/{stage}.log"


def _judge(
    stage: str, log: Path, made: float | None, lived: float | None, now: float
) -> tuple[str, bool]:
    """Return a job's state, and whether it failed without a word.

    Parameters
    ----------
    stage : str
        Its rule.
    log : path
        Its log; read only if it tells more than the times do.
    made, lived : float or None
        When its output last changed, and when it last gave a sign of life.
    now : float
        All in seconds since the epoch.
    """
    if lived is None or (made is not None and lived <= made + _MARGIN_S):
        return ("waiting" if made is None else "done"), False
    ended = jobs.ended(tail(log), stage)
    if ended == "failed":
        return "failed", False
    if ended is not None:  # "done", but what it made is gone, or "interrupted"
        return ("waiting" if made is None else "done"), False
    return ("running", False) if now - lived < PATIENCE_S else ("failed", True)


def tail(log: str | Path, most: int = 8192) -> str:
    """Return the end of a log, whole lines of at most `most` bytes; "" if it cannot be read."""
    try:
        with open(log, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - most))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return text if size <= most else text.partition("\n")[2]


def _times(results: Path) -> dict[str, float]:
    """Return when every file that tells something last changed, by its path below `results`.

    Folders are read side by side: a network file system takes its time for each.
    """
    top, found = str(results), {}
    folders = [os.path.join(top, name) for name in _FOLDERS]
    with ThreadPoolExecutor(16) as pool:
        entries = _entries(top)
        while entries:
            found |= {os.path.relpath(path, top): when for path, when, _ in entries}
            entries = list(chain.from_iterable(pool.map(_entries, folders)))
            folders = [path for path, _, folder in entries if folder]
    return found


def _entries(folder: str) -> list[tuple[str, float, bool]]:
    """Return path, time of change, and whether it is a folder, of all in a folder."""
    found = []
    # Files come and go meanwhile, and what is gone is as what never was.
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                found.append((entry.path, entry.stat().st_mtime, entry.is_dir()))
    return found


# ── As text ──────────────────────────────────────────────────────────────────────────────────────


def text(status: Status, width: int = 80, colour: bool = False, failures: int = 3) -> str:
    """Return a status as a page: jobs by stage, networks, the grid, the newest failures' logs.

    Parameters
    ----------
    status : Status
        See :func:`look`.
    width : int
        Columns of the terminal; the grid is broken to fit.
    colour : bool
        Whether to colour states by ANSI sequences.
    failures : int
        Most failures to show the log's end of.
    """

    def paint(words: str, state: str) -> str:
        return f"\x1b[{_COLOURS[state]}m{words}\x1b[0m" if colour and words else words

    parts = [
        f"{status.study.study.name}  {status.results}  {_clock(status.now, status.now)}",
        "\n".join(_stages(status, paint)),
        "\n".join(_networks(status)),
        *("\n".join(lines) for lines in _grids(status, width, paint)),
    ]
    counts = Counter(status.cells.values())
    legend = (
        f"{paint(_SYMBOLS[state], state)} {state} {counts[state]:,}"
        for state in ("done", "partly", "running", "failed", "waiting")
    )
    parts.append("   ".join(legend))
    if failed := status.failures:
        parts.append(f"{len(failed):,} failed, the newest first:")
        parts += ["\n".join(_failure(job, status.now)) for job in failed[:failures]]
    return "\n\n".join(parts)


def _stages(status: Status, paint) -> Iterator[str]:
    yield f"{'jobs':<12}" + "".join(f"{state:>9}" for state in STATES)
    for stage, of_stage in status.stages.items():
        counts = Counter(job.state for job in of_stage)
        cells = (
            paint(f"{counts[state]:>9,}", state) if counts[state] else f"{'–':>9}"
            for state in STATES
        )
        yield f"{stage:<12}" + "".join(cells)


def _networks(status: Status) -> Iterator[str]:
    (trained, total), (tested, _) = status.networks("train"), status.networks("evaluate")
    yield f"networks    {trained:,} of {total:,} trained ({trained / total:.0%}), {tested:,} tested"
    if status.complete:
        return
    if found := status.rate("train"):
        rate, hours = found
        yield f"            {_number(rate)} trained an hour over the last {_duration(3600 * hours)}"
    if status.end is not None:
        left = _duration(status.end - status.now)
        yield f"            at that all are tested {_clock(status.end, status.now)}, in {left}"
    elif not any(job.state == "running" for job in status.jobs):
        yield "            no job is running; if none is queued, start Snakemake again to go on"


def _grids(status: Status, width: int, paint) -> Iterator[list[str]]:
    """Yield the grid of every specimen and architecture: rows are aperture and dose, columns are
    groups of defocus, with a character for each Cs."""
    axes = {name: sorted(values) for name, values in status.study.grid.axes().items()}
    defoci, spherical, apertures, doses = (axes[name] for name in AXES)
    group = max(len(spherical), *(len(f"{defocus:g}") for defocus in defoci)) + 1
    margin = 2 + max(len(f"{a:g}") for a in apertures) + 2 + max(len(f"{d:g}") for d in doses) + 2
    a_width, d_width = (max(len(f"{v:g}") for v in values) for values in (apertures, doses))
    fits = max(1, (width - margin) // group)
    shown = [defoci[k : k + fits] for k in range(0, len(defoci), fits)]
    for specimen, architecture in product(
        status.study.specimens, status.study.training.architectures
    ):
        cs = ", ".join(f"{value:g}" for value in spherical)
        lines = [
            f"{specimen}, {architecture}",
            "  down: aperture [mrad] and dose [e/Å²]; across: defocus [nm]",
            f"  and, at each defocus, Cs of {cs} µm",
        ]
        for part in shown:
            lines.append(" " * margin + "".join(f"{d:<{group}g}" for d in part).rstrip())
            for aperture, dose in product(apertures, doses):
                label = f"{aperture:g}" if dose == doses[0] else ""
                row = f"  {label:>{a_width}}  {dose:>{d_width}g}  "
                for defocus in part:
                    ids = (Condition(defocus, c, aperture, dose).id for c in spherical)
                    states = [status.cells[specimen, architecture, id] for id in ids]
                    row += _run(states, paint) + " " * (group - len(states))
                lines.append(row.rstrip())
        yield lines


def _run(states: Iterable[str], paint) -> str:
    return "".join(paint(_SYMBOLS[state], state) for state in states)


def _failure(job: Job, now: float) -> Iterator[str]:
    yield f"{job.log}, {_duration(now - job.time)} ago"
    for line in tail(job.log).splitlines()[-5:]:
        yield f"    {line}"
    if job.silent:
        yield "    (no sign of life since: it was killed, or its node went down)"


def _clock(when: float, now: float) -> str:
    """Return a time as a clock shows it, with the day unless that is today."""
    there = time.localtime(when)
    today = there[:3] == time.localtime(now)[:3]
    return time.strftime("%H:%M" if today else "%a %d %b, %H:%M", there)


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{max(0, round(seconds))} s"
    if minutes < 120:
        return f"{minutes} min"
    hours = round(seconds / 3600)
    return f"{hours} h" if hours < 48 else f"{round(seconds / 86400)} days"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
