"""What the files of a run say: which of them exist, how its jobs ended, and who runs them.

This module does not need Snakemake, opens no store, and writes no file.
"""

import csv
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from passband import log_lines
from passband.results import layout, listing, locate
from passband.runs import locks
from passband.runs.study_jobs import Job
from passband.storage import lease

#: A job is assumed to have died if its log and its lease have not changed for this time [s]. In
#: this time a job renews its lease 15 times. The time is so long because clocks differ and network
#: file systems show changes late.
PATIENCE_S = 15 * lease.PULSE_S

#: If a log is newer than its job's output by more than this time [s], a later attempt wrote the
#: log.
_MARGIN_S = 3 * lease.PULSE_S

#: A running job's log is read up to this size [bytes].
_LOG_BYTES = 1 << 20


def judge(
    job: Job,
    folder: Path,
    *,
    times: Mapping[str, float],
    now: float,
    ended: Mapping[str, float] | None = None,
) -> bool:
    """Set a job's state; return whether the job counts, as one on request does if it was started.

    A job is done if its output exists and is not older than its inputs. A job has failed if its log
    reports a failure. If the log has no last line, the job is running or has failed: it is running
    if its log or its lease has changed within :data:`PATIENCE_S`, and has failed otherwise. In all
    other cases a job is waiting, also after Ctrl-C. The log is read only if the times do not show
    the state.

    Args:
        job: A job whose paths are relative to the folder. The folder is added to its log's path.
        folder: The study's folder of results.
        times: When each file last changed, see :func:`passband.results.listing.changes`.
        now: The present time [s since the epoch].
        ended: By log, until when a job lived of which Snakemake said that it failed.
    """
    made = min((times.get(output, 0.0) for output in job.outputs), default=0.0)
    valid = made if made >= job.after else 0.0
    lived = max(times.get(sign, 0.0) for sign in (job.log, _lease(job.log)))
    job.log = str(folder / job.log)
    job.state = "done" if valid else "waiting"
    has_failed = ended is not None and lived <= ended.get(job.log, -1.0)
    if has_failed:
        lived = ended[job.log]
    if lived and not (valid and lived <= valid + _MARGIN_S):
        # Passband 0.3.0 called the job figure_ctf. A job of another rule, such as the user's, has
        # any name.
        name = r"figure\w*" if job.stage == "figures" else job.stage
        said = log_lines.ended(tail(job.log), name if job.outputs else r"\S+")
        if said is None and not has_failed:
            job.silent = now - lived >= PATIENCE_S
            job.state = "failed" if job.silent else "running"
        elif said == "failed" or has_failed:
            job.silent = said is None
            job.state = "failed"
        else:  # the log says "interrupted", or says "done" but the output is absent
            job.deleted = said == "done" and not made
    job.lived = lived
    job.time = valid if job.state == "done" else lived
    return not job.on_request or made > 0 or job.state != "waiting"


def _lease(log: str) -> str:
    return log.removesuffix(".log") + layout.LEASE


def snakemake(results: Path) -> tuple[str, float]:
    """Return the values of :attr:`passband.runs.job_states.Run.snakemake` and of its `since`.

    Raises:
        PassbandError: If a lock, or a folder of the locks, is a link, a pipe or a device.
    """
    folder = Path(os.path.abspath(results))
    root = folder.parent.parent
    locks.check(locate.shown(root), ["locks"])
    for lock in (root / ".snakemake" / "locks").glob("*.output.lock"):
        with suppress(OSError), lock.open(encoding="utf-8") as file:
            if file.readline().startswith(f"{folder.relative_to(root)}/"):
                return ("running" if _processes(root) else "locked"), lock.stat().st_mtime
    return "", 0.0


def _processes(root: Path) -> bool:
    """Return whether a Snakemake that was started in the given folder runs on this machine."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            named = any(word == b"snakemake" or word.endswith(b"/snakemake") for word in words)
            # The processes that Snakemake starts for its jobs have an option --mode.
            if named and b"--mode" not in words and (process / "cwd").samefile(root):
                return True
    return False


def tail(log: str | Path, most: int = 8192) -> str:
    """Return the last whole lines of a log, at most `most` bytes; "" if the log is absent."""
    try:
        with open(log, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - most))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise listing.unreadable(log, error) from error
    return text if size <= most else text.partition("\n")[2]


def lived(log: str) -> float:
    """Return when a job's log or lease last changed [s since the epoch], or 0."""
    times = [0.0]
    for sign in (log, _lease(log)):
        with suppress(OSError):
            times.append(os.stat(sign).st_mtime)
    return max(times)


def read_log(job: Job, now: float) -> None:
    """Find in the log of a running job where it runs, since when, and how far it is.

    The log's times may be those of a machine whose clock or time zone differs. So only differences
    of these times are used, and when the log was written last.
    """
    text = tail(job.log, _LOG_BYTES)
    job.host, span = log_lines.attempt(text)
    job.share = log_lines.share(text)
    try:
        job.since = os.stat(job.log).st_mtime - span
    except OSError:  # the job has only a lease so far
        job.since = min(job.time, now)


def validation_dice(history: str | Path) -> list[float]:
    """Return each network's validation Dice in its best epoch, from the history of a training.

    The list is empty if the file cannot be read or is no history.
    """
    best: dict[tuple[str, str], tuple[float, float]] = {}
    with suppress(OSError, KeyError, ValueError), open(history, encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found = float(row["val_loss"]), float(row["val_dice"])
            network = row.get("condition", ""), row["replica"]  # several conditions: a column
            best[network] = min(best.get(network, found), found)
    return [score for _, score in best.values()]
