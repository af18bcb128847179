"""Recompute what the findings say, compare it with their pages, and run their tests.

    python -m findings            # all folders
    python -m findings carbon     # one folder

Run it from the repository's root. The folders, and what can be recomputed there, are those of the
list in findings/README.md. The function ``recompute`` in ``findings/<folder>/recompute.py`` yields
a line for each thing that it has compared, a line ``skipped: why`` for each that it could not
compare on this machine, and raises PassbandError where a number differs. The exit status is 1 if
one does, or if a test fails.
"""

import contextlib
import importlib
import os
import re
import subprocess
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from passband import PassbandError
from passband.words import duration, listed, number_of

LIST = Path("findings/README.md")
DATA = Path("../shared/data")
#: What the processor must be able to do for the same networks and parameters, to the last digit.
CAPABILITY = "AVX512"
#: The four words that say how a finding is checked.
RECOMPUTED = "recomputed here"
NEEDS_DATA = "needs data"
TRAINING = "needs training"
FROZEN = "frozen at version"
WORDS = RECOMPUTED, NEEDS_DATA, TRAINING, FROZEN
#: How many tests run at the same time.
WORKERS = 2
#: What marks a line of ``recompute`` as something that was not compared.
SKIPPED = "skipped: "


@dataclass(frozen=True)
class Finding:
    """A row of the list.

    Attributes:
        folder: The folder in `findings`.
        check: How it is checked: one of :data:`WORDS`, with a source, minutes or a version.
        command: What to type, which is by default the folder's own command.
    """

    folder: str
    statement: str
    status: str
    check: str
    command: str


@dataclass
class Outcome:
    """What became of a folder, or of all tests."""

    name: str
    compared: int = 0
    skipped: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    seconds: float = 0.0


def listed_findings(page: Path = LIST) -> list[Finding]:
    """Return the rows of the list, in its order.

    Raises:
        PassbandError: If there is no list, or a row does not say how the finding is checked.
    """
    if not page.exists():
        raise PassbandError(f"{page}: is missing; run this in the repository's root")
    found = []
    for line in page.read_text(encoding="utf-8").splitlines():
        # The first cell of a row is a link to the page of the folder.
        if not (link := re.match(r"\| \[([^]]+)\]\((\w+)/[^)]*\) \|", line)):
            continue
        *_, status, last = (cell.strip() for cell in line.strip("| ").split(" | "))
        check, _, command = last.replace("*", "").partition(": ")
        if not check.startswith(WORDS):
            raise PassbandError(f"{page}: {link[1]}: must be {listed(WORDS, 'or')}, not {check}")
        command = command.strip("`") or f"python -m findings {link[2]}"
        found.append(Finding(link[2], link[1], status, check, command))
    return found


def lacking() -> Iterator[str]:
    """Yield a line for each thing that findings need and this machine does not have."""
    if not DATA.is_dir():
        yield f"no data of others: {DATA} is missing; the pages say where they come from"
    if not any(Path("results").glob("*/networks")):
        yield "no networks: no study in results/ has any; *needs training* says how long they take"
    import torch  # takes a second

    if (here := torch.backends.cpu.get_cpu_capability()) != CAPABILITY:
        yield f"another processor ({here}, not {CAPABILITY}): it rounds differently"


def left_out(of: Sequence[Finding], has_script: bool) -> Iterator[str]:
    """Yield a line for each thing that the list says cannot be computed again here.

    What needs data is left to the script, which looks for them, if there is one.
    """
    for finding in of:
        if finding.check.startswith(FROZEN):
            yield f"{finding.check}: {finding.statement}"
        elif finding.check.startswith(TRAINING) or (
            finding.check.startswith(NEEDS_DATA) and not has_script
        ):
            yield f"{finding.check}: `{finding.command}`"


def recomputed(name: str, of: Sequence[Finding], out: Outcome) -> None:
    """Recompute a folder's numbers, and note what was compared, what was not, and what differs."""
    script = Path("findings", name, "recompute.py")
    out.skipped.extend(dict.fromkeys(left_out(of, script.exists())))
    if all(finding.check.startswith(FROZEN) for finding in of):
        return
    try:
        if not script.exists():
            if any(finding.check.startswith(RECOMPUTED) for finding in of):
                raise PassbandError(f"{script}: is missing")
            return
        module = importlib.import_module(f"findings.{name}.recompute")
        for line in module.recompute():
            print(f"  {line}", flush=True)
            if line.startswith(SKIPPED):
                out.skipped.append(line.removeprefix(SKIPPED))
            else:
                out.compared += 1
    except PassbandError as error:
        out.failed.append(str(error))
    except Exception as error:  # a script that no longer runs must not hide the other findings
        place = traceback.extract_tb(error.__traceback__)[-1]
        words = " ".join(str(error).split())
        at = f"{Path(place.filename).name}, line {place.lineno}"
        out.failed.append(f"{type(error).__name__} in {at}: {words}")


def tested(folders: Sequence[str], out: Outcome) -> None:
    """Run the tests of folders."""
    command = [sys.executable, "-m", "pytest", *folders, "-n", str(WORKERS), "--dist", "loadfile"]
    wide = os.environ | {"COLUMNS": "200"}  # pytest cuts the reasons of failures
    done = subprocess.run(
        [*command, "-q", "--tb=line", "-rfEs"],
        env=wide,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    last = lines[-1] if lines else done.stderr.strip().rpartition("\n")[2]
    print(f"  {last.strip('= ')}")
    if passed := re.search(r"(\d+) passed", last):
        out.compared = int(passed[1])
    for line in lines:
        word, _, rest = line.partition(" ")
        if word in ("FAILED", "ERROR"):
            out.failed.append(rest)
        elif word == "SKIPPED":
            out.skipped.append(rest)
    no_tests = 5
    if done.returncode not in (0, no_tests) and not out.failed:
        out.failed.append(f"pytest ended with {done.returncode}: {last}")


@contextlib.contextmanager
def timed(name: str) -> Iterator[Outcome]:
    """Print a name, and measure the time until its outcome is known."""
    print(name, flush=True)
    outcome = Outcome(name)
    start = time.monotonic()
    yield outcome
    outcome.seconds = time.monotonic() - start
    for line in outcome.failed:
        print(f"  failed: {line}", flush=True)


def summary(outcomes: Iterable[Outcome]) -> Iterator[str]:
    """Yield the lines that are printed at the end."""
    outcomes = list(outcomes)
    width = max(len(each.name) for each in outcomes)
    yield f"\n{'':{width}}  compared  skipped  failed  time"
    for each in outcomes:
        numbers = f"{each.compared:8}  {len(each.skipped):7}  {len(each.failed):6}"
        yield f"{each.name:{width}}  {numbers}  {duration(each.seconds)}"
    for title in ("skipped", "failed"):
        lines = [f"  {o.name}: {line}" for o in outcomes for line in getattr(o, title)]
        if lines:
            yield f"\n{title}:"
            yield from lines
    failed = sum(len(each.failed) for each in outcomes)
    seconds = sum(each.seconds for each in outcomes)
    verdict = number_of(failed, "failure") if failed else "nothing differs"
    yield f"\n{verdict}, {duration(seconds)}"


def run(names: Sequence[str]) -> int:
    """Recompute some folders, or all if no name is given, and return the exit status.

    Raises:
        PassbandError: If a name is not one of the list's folders.
    """
    of: dict[str, list[Finding]] = {}
    for finding in listed_findings():
        of.setdefault(finding.folder, []).append(finding)
    for name in names:
        if name not in of:
            raise PassbandError(f"NAME = {name}: must be {listed([*of], 'or')}")
    for line in lacking():
        print(line)
    outcomes = []
    for name in names or of:
        with timed(name) as outcome:
            recomputed(name, of[name], outcome)
        outcomes.append(outcome)
    folders = [f"findings/{name}" for name in names] or ["findings"]
    with timed("tests") as outcome:
        tested(folders, outcome)
    outcomes.append(outcome)
    print("\n".join(summary(outcomes)))
    return int(any(outcome.failed for outcome in outcomes))


def main(arguments: Sequence[str]) -> int:
    """Run the command, and return its exit status."""
    if any(argument.startswith("-") for argument in arguments):
        print(__doc__)
        return 0 if set(arguments) & {"-h", "--help"} else 2
    try:
        return run(arguments)
    except PassbandError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
