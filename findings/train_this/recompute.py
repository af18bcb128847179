"""Compares the pages with train-this.csv, and its references with the packed pieces."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from findings.pages import compare
from findings.train_this import train_this
from findings.train_this.train_this import RESULT, SINGLE, SPECIALISTS
from passband import PassbandError

PAGE = train_this.FOLDER / "README.md"
NEXT = Path("docs/next.md")


def recompute() -> Iterator[str]:
    """Yield a line for each thing that was compared.

    Raises:
        PassbandError: If a number differs.
    """
    frame = pd.read_csv(RESULT, keep_default_na=False)
    yield check_chosen(frame)
    yield from pages(frame)
    yield from references(frame)


def check_chosen(frame: pd.DataFrame) -> str:
    """Check that the judged rows are the best of their groups under the old tests."""
    judged = frame[(frame.cells != train_this.OLD_CELLS) & (frame.known != "")]
    named = [(of.row, int(of.steps)) for of in judged.itertuples()]
    if sorted(named) != sorted(best := train_this.chosen(frame)):
        raise PassbandError(f"{RESULT}: judged {named}, chosen {best}")
    return f"{RESULT}: the judged rows are the best of their groups under the old tests"


def pages(frame: pd.DataFrame) -> Iterator[str]:
    """Compare the pages with the file."""
    yield compare(PAGE, "table, from train-this.csv", train_this.table(frame))
    judged = frame[frame.cells != train_this.OLD_CELLS].set_index("row")
    doses = judged.loc["doses"]
    every = judged.loc["all"]
    above = f"`doses` is {_words(doses, '', 1)} above, and `all` {_words(every, '', -1)} below"
    yield compare(PAGE, "beside 192 steps", above)
    for page in (PAGE, NEXT):
        for row, of in (("doses", doses), ("all", every)):
            lost = f"loses {_words(of, '_equal_steps', -1)}"
            yield compare(page, f"`{row}` beside as many steps", lost)


def _words(of: pd.Series, kind: str, sign: int) -> str:
    """Return a difference and its interval as text, with the other sign if `sign` is −1."""
    value, *ends = (sign * float(of[f"{name}{kind}"]) for name in ("difference", "low", "high"))
    return f"{value:.3f} ({min(ends):.3f} to {max(ends):.3f})"


def references(frame: pd.DataFrame) -> Iterator[str]:
    """Compare the references under the old tests with the networks of the packed pieces."""
    known = train_this.Known.read()
    there = known.specialists(train_this.old_tests())
    of = {SPECIALISTS: there, SINGLE: known.D[known.train.index(known.single)]}
    old = frame[frame.cells == train_this.OLD_CELLS].set_index("row")
    for row, D in of.items():
        for key, value in train_this.score(D, there, 0.0).items():
            committed = float(old.loc[row, key])
            if f"{value:z.4f}" != f"{committed:z.4f}":
                raise PassbandError(
                    f"{RESULT}: {row}: {key} = {committed:.4f}, from the packed pieces {value:.4f}"
                )
        yield f"{RESULT}: {row} under the 144 tests, from the packed pieces"
