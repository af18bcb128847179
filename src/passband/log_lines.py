"""Writes and reads the lines of a job's log that other code needs.

`passband status` finds from these lines how a job ended, and Snakemake what its result depends on.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from passband.seeds import digest

#: The reason in the log of a job that stops at its time limit.
TIME_LIMIT = "time limit"

#: Format of the time at the beginning of each log entry, for :func:`time.strftime`. A log entry may
#: have several lines.
TIME = "%H:%M:%S"
_TIME = re.compile(r"^\d\d:\d\d:\d\d ", re.M)
_STARTED = re.compile(r"started on ([^,\n]+), process ")
_FAILED = re.compile(r"error: |.+: failed after \d+\.\d s\n")
_CONDITION = re.compile(r"\d condition (\d+) of (\d+): ")
_EPOCH = re.compile(r"\d epoch (\d+) of (\d+)$", re.M)
_INTERRUPTED = re.compile(r": stopped (?:in .* )?by SIGINT;")
_DEPENDS = "depends on: "


def started(host: str, process: int) -> str:
    """Return the first log line of an attempt to run a job."""
    return f"started on {host}, process {process}"


@dataclass(frozen=True)
class Dependence:
    """What the result of a job depends on.

    Attributes:
        params: The values of its rule's params, as Python writes them.
        inputs: A digest of the names of its inputs.
    """

    params: tuple[str, ...]
    inputs: str

    @classmethod
    def of(cls, params: Iterable[object], inputs: Iterable[str]) -> "Dependence":
        """Return that of a job with these params and inputs."""
        return cls(tuple(sorted(map(repr, params))), digest(sorted(inputs)))


def depends(on: Dependence) -> str:
    """Return the log line of a job that succeeded before the last one."""
    return _DEPENDS + json.dumps({"params": on.params, "inputs": on.inputs}, ensure_ascii=False)


def finished(name: str, result: str, seconds: float) -> str:
    """Return the last log line of a job that succeeded with `result`."""
    return f"{name}: {result} in {seconds:.1f} s"


def reused(result: str) -> str:
    """Return the `result` of :func:`finished` for a result that an earlier job has made."""
    return f"{result}, made by an earlier job,"


def failed(name: str, reason: object) -> str:
    """Return the last log line of a job that failed by an error which the user can correct."""
    return f"error: {name}: {reason}"


def crashed(name: str, seconds: float) -> str:
    """Return the log line before the traceback of an unexpected error."""
    return f"{name}: failed after {seconds:.1f} s"


def condition(number: int, conditions: int, id: str) -> str:
    """Return the log line before the training under one of several conditions, from 1 on."""
    return f"condition {number} of {conditions}: {id}"


def epoch(done: int, epochs: int) -> str:
    """Return the log line after an epoch, with the number of epochs that are done."""
    return f"epoch {done} of {epochs}"


def interrupted() -> str:
    """Return the log's reason for the end of a job that Ctrl-C stopped without a saved state."""
    return "stopped by SIGINT; the next run makes its result from the start"


def stopped(epoch: int, epochs: int, reason: str, outcome: str) -> str:
    """Return the log's reason for the end of a training job that was stopped.

    Args:
        epoch, epochs: The number of the epoch in which training stopped, counted from 0, and the
            number of all epochs.
        reason: The name of the signal that stopped the job, or :data:`TIME_LIMIT`.
        outcome: A sentence that says whether the state of the training is saved.
    """
    why = ": the time limit was reached" if reason == TIME_LIMIT else f" by {reason}"
    return f"stopped in epoch {epoch + 1} of {epochs}{why}; {outcome}"


def ended(log: str, name: str) -> str | None:
    """Return how the last attempt to run a job ended, from the job's log.

    Args:
        log: The job's log, or the last lines of this log.
        name: A regular expression of the first word of the job's name.

    Returns:
        ``"done"``, ``"failed"``, ``"interrupted"`` (by Ctrl-C), or None if the log does not show
        how the job ended.
    """
    last = _TIME.split(log)[-1].rstrip()
    if _FAILED.match(last):
        return "interrupted" if _INTERRUPTED.search(last) else "failed"
    return "done" if re.fullmatch(rf"{name}\b.*: .+ in \d+\.\d s", last) else None


def dependence(log: str) -> Dependence | None:
    """Return what the result of a job depends on, from the log's last two entries.

    Returns:
        Nothing if the last attempt did not succeed, or if an earlier version of Passband wrote the
        log.
    """
    line = _TIME.split(log)[-2:][0].rstrip()
    if not line.startswith(_DEPENDS) or ended(log, r"\S+") != "done":
        return None
    try:
        found = json.loads(line.removeprefix(_DEPENDS))
        return Dependence(tuple(found["params"]), found["inputs"])
    except (ValueError, KeyError, TypeError):
        return None


def took(log: str) -> float | None:
    """Return how long the last attempt took [s], from the job's log or its last lines.

    Returns:
        No number if the job is not done, or if it took over the result of an earlier job.
    """
    last = _TIME.split(log)[-1].rstrip()
    found = re.search(r" in (\d+\.\d) s$", last)
    if found is None or _FAILED.match(last) or ", made by an earlier job, in" in last:
        return None
    return float(found[1])


def share(log: str) -> float | None:
    """Return which share of its conditions and epochs a running job has done, from 0 to 1.

    Args:
        log: The whole log of a job.

    Returns:
        No number if the last attempt's log has no epoch.
    """
    last = log[max((found.end() for found in _STARTED.finditer(log)), default=0) :]
    found = [*_CONDITION.finditer(last)]
    number, conditions = map(int, found[-1].groups()) if found else (1, 1)
    epochs = _EPOCH.findall(last, found[-1].end() if found else 0)
    if not epochs:
        return (number - 1) / conditions if number > 1 else None
    done, all_epochs = map(int, epochs[-1])
    return (number - 1 + done / all_epochs) / conditions


def attempt(log: str) -> tuple[str, float]:
    """Return where the last attempt runs, and the time between its first and its last log entry.

    Args:
        log: The whole log of a job.

    Returns:
        The name of the machine, or "" if the log has no first line yet, and the time [s]. Entries
        have the time of day alone, so an entry that seems earlier than the one before is of the
        next day.
    """
    entries = [(found.end(), found[0]) for found in _TIME.finditer(log)]
    host, span, before = "", 0, None
    for place, clock in entries:
        hours, minutes, seconds = map(int, clock.split(":"))
        now = 3600 * hours + 60 * minutes + seconds
        if found := _STARTED.match(log, place):
            host, span = found[1], 0
        elif before is not None:
            span += (now - before) % 86_400
        before = now
    return host, float(span)
