"""Takes over what Passband 0.2 has made of a study, and makes the exit waves that it needs."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from passband.errors import ArgumentError, PassbandError
from passband.outcomes import Outcome, Progress
from passband.results import Results, earlier, layout, listing
from passband.runs import locks, run_files
from passband.runs.starting import Machine, remark, start


@dataclass(frozen=True)
class Adopted(Outcome):
    """What was taken over, in words; with a dry run, what would be."""

    results: str
    lines: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(self.lines)


def adopt(
    results: Results,
    machine: Machine,
    *,
    dry_run: bool = False,
    words: Sequence[str] = (),
    progress: Progress | None = None,
    say: Callable[[str], object] = remark,
) -> Adopted:
    """Take over what Passband 0.2 has made of a study; with `dry_run`, only say what that is.

    Networks can be compared only with all exit waves that they were trained on. So if a file of
    exit waves is damaged or missing, those are made first.

    Args:
        words: Further words for Snakemake, which makes the exit waves.
        progress: Is called with the number of files that were read, of an unknown number.
        say: Is called with a line about each damaged file.

    Raises:
        PassbandError: As :func:`passband.runs.starting.start`; if the study was not made by 0.2.
    """
    locks.clear(results.root)
    if run_files.snakemake(results.folder)[0]:
        raise PassbandError(
            f"{results}: a Snakemake has locked this study; wait for its end or, if it has died, "
            f"type: passband run {shlex.quote(str(results.noun))} --unlock"
        )
    if not earlier.is_earlier(results.folder) and not results.has(earlier.KEPT):
        raise ArgumentError(f"adopt: {results} was not made by Passband 0.2; leave this out")
    listing.check(results.folder, [*layout.WRITTEN, *earlier.WRITTEN, earlier.KEPT])
    found = _Found(results, progress, say)
    if dry_run:
        return Adopted(str(results), (f"{results}: would take over {found.adoption}",))
    taken = found.take()
    lines = [f"{taken}; all that Passband 0.2 made is in {results.path(earlier.KEPT)}"]
    if found.adoption.lacks_waves:
        say("Exit waves are made first. If this is interrupted, give --adopt again.")
        start(results, machine, words=[*words, "--until", "simulate"], say=say)
        found.look()
        lines.append(found.take())
    return Adopted(str(results), tuple(lines))


class _Found:
    """What can be taken over now; a line about a damaged file is said once."""

    def __init__(self, results: Results, progress: Progress | None, say: Callable[[str], object]):
        self._results = results
        self._progress = progress
        self._say = say
        self._said: set[str] = set()
        self._read = 0
        self.look()

    def look(self) -> None:
        """Look again, after further exit waves were made."""
        from passband.store.version_02.adoption import Adoption  # only this needs it

        self.adoption = Adoption(self._results, self._report, self._tick)

    def take(self) -> str:
        """Take it over, and return what was."""
        self.adoption.take()
        return f"{self._results}: took over {self.adoption}"

    def _report(self, line: str) -> None:
        before = line.replace(f"/{earlier.KEPT}/", "/")  # a file that was moved meanwhile
        if before not in self._said:
            self._say(line)
        self._said.add(before)

    def _tick(self) -> None:
        self._read += 1
        if self._progress is not None:
            self._progress(self._read, 0, "adopt")
