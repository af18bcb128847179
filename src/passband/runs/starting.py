"""Runs Snakemake on a study: what is checked before, and what a user reads when it failed."""

import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from passband.console import remark
from passband.errors import ArgumentError, PassbandError
from passband.outcomes import Progress
from passband.results import Results, changed, listing
from passband.results.locate import RESULTS
from passband.runs import child, locks, workflow
from passband.runs.job_states import Run

#: The share of the time of a run that reading its state may take at most.
_LOOKING = 0.05


class SnakemakeError(PassbandError):
    """Snakemake has failed, was killed, or refused its words."""

    def __init__(self, message: str, exit_status: int = 1):
        super().__init__(message)
        self.exit_status = exit_status


@dataclass(frozen=True)
class Machine:
    """Where jobs run.

    Attributes:
        cores: Number of CPU cores, or "all".
        profile: A profile of Passband, such as "slurm", or the path of another.
    """

    cores: int | str | None = None
    profile: str | None = None

    def __post_init__(self) -> None:
        cores = self.cores
        if cores not in (None, "all") and not (str(cores).isdecimal() and int(cores) > 0):
            raise ArgumentError(f"cores = {cores!r}: must be a number above 0, or all")


def start(
    results: Results,
    machine: Machine,
    *,
    targets: Sequence[str] = (),
    words: Sequence[str] = (),
    progress: Progress | None = None,
    say: Callable[[str], object] = remark,
) -> str:
    """Run Snakemake on a study to its end.

    The file of a changed study is written first, once all arguments have been checked.

    Args:
        targets: The files or rules to make; by default, all of the study.
        words: Further words for Snakemake.
        progress: Is called now and then; Snakemake's own display is not shown then.
        say: Is called with lines about profiles that are not loaded, and about locks. By default,
            they are written to standard error.

    Returns:
        What a dry run lists; otherwise "".

    Raises:
        SnakemakeError: If a job failed, or Snakemake itself.
        KeyboardInterrupt: After Ctrl-C, as soon as all jobs have ended.
        PassbandError: If the study or the folder must not be run.
    """
    folder = results.root
    results.check_trusted()
    locks.check(folder)
    if "--unlock" not in words:
        listing.refuse_02(results.folder)
    for path in (folder / ".snakemake", folder / RESULTS):
        written = path if path.exists() else folder
        if not os.access(written, os.W_OK):
            raise PassbandError(f"{written.resolve()}: you may not write into this folder")
    command = workflow.command(
        results.file,
        folder,
        targets,
        cores=None if machine.cores is None else str(machine.cores),
        profile=machine.profile,
        words=words,
    )
    if changed.has_its_file(results) and not results.file.exists():
        changed.write(results)
    for line in workflow.profiles_left_out(folder):
        say(line)
    lists = "--dry-run" in command
    if not lists:
        for holder in locks.clear(folder):
            say(f"Removed the lock that {holder} left when it died.")
    look = None if progress is None or lists else _Look(results, progress)
    ended = child.run(command, folder, look=look, captured=lists)
    if look is not None and not ended.status:
        look.tell()
    if ended.status == 128 + signal.SIGINT:
        raise KeyboardInterrupt
    if ended.status:
        if lists:
            sys.stdout.write(ended.printed)
        said = "" if look is None else _reason(results, ended.printed)
        raise SnakemakeError(
            said + _next(ended.status, results, lists),
            ended.status if ended.status == 2 or ended.status > 128 else 1,
        )
    return ended.printed


class _Look:
    """Tells a function how many jobs of a study are done, and which run, whenever this changes."""

    def __init__(self, results: Results, progress: Progress):
        self._run = Run(results)
        self._progress = progress
        self._told: tuple[int, int, str] | None = None
        self._next = 0.0

    def __call__(self) -> None:
        if (began := time.monotonic()) < self._next:
            return
        self.tell()
        now = time.monotonic()
        self._next = now + max(1.0, (now - began) / _LOOKING)

    def tell(self) -> None:
        """Tell it now."""
        from passband.runs.status_page import at_work

        run = self._run.read()
        needed = [job for job in run.jobs if job.needed]
        done = sum(job.state == "done" for job in needed)
        now = done, len(needed), at_work(run) if run.running else "no job runs"
        if now != self._told:
            self._told = now
            self._progress(*now)


def _reason(results: Results, printed: str) -> str:
    """Return why a run failed that was not shown."""
    failures = Run(results).read().failures
    if failures:
        more = f" and {len(failures) - 1:,} more" if len(failures) > 1 else ""
        return f"{failures[0].words} failed, its log is {failures[0].log}{more}. "
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    return f"{lines[-1]}. " if lines else ""


def _next(status: int, results: Results, is_dry: bool) -> str:
    """Return what to do after Snakemake has failed or was killed."""
    again = "the study again"
    if changed.has_its_file(results):
        again = f"`passband run {results.name}`"
    if status == 128 + signal.SIGKILL:
        return f"Snakemake was killed. Run {again}: finished jobs do not run again."
    if status > 128:
        return f"Snakemake was ended by signal {status - 128}. Run {again} to continue."
    if is_dry:
        return "Snakemake cannot list the jobs; the lines above say why."
    if not locks.are_left(results.root):  # at its end, Snakemake removes its own
        return f"Correct the cause, and run {again}. Finished jobs do not run again."
    holders = " and ".join(map(str, locks.holders(results.root))) or "a Snakemake"
    unlock = f"passband run {shlex.quote(str(results.noun))} --unlock"
    return (
        f"{holders} has locked {results.root.resolve()}. Wait for its end. If it has died, type: "
        f"{unlock}; and then run {again}."
    )
