"""Compares the page with the tables of Dice on simulated microscopes and on real patches."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from findings.pages import compare
from findings.tune import choose, patches
from passband import PassbandError
from passband.answers.tuning import LeftOut, Tuned
from passband.learning.tuning import Schedule
from passband.reports import markdown

PAGE = choose.FOLDER / "README.md"
#: What `passband tune` does.
USED = {**vars(Schedule()), "share": 1.0}


def recompute() -> Iterator[str]:
    """Yield a line for each thing that was compared.

    Raises:
        PassbandError: If a number differs, or if `passband tune` has other settings than the rule
            chooses.
    """
    summary = choose.summary(pd.read_csv(choose.TABLE))
    if choose.chosen(summary) != USED:
        raise PassbandError(f"{choose.TABLE}: the rule chooses {choose.chosen(summary)}")
    yield f"{choose.TABLE}: the rule chooses what `passband tune` does"
    yield compare(PAGE, "simulated microscopes", of_settings(summary))
    yield compare(PAGE, "each microscope", of_microscopes(pd.read_csv(choose.TABLE)))
    if not patches.TABLE.exists():
        yield f"skipped: patches: there is no {patches.TABLE}; see findings.tune.patches"
        return
    table = pd.read_csv(patches.TABLE)
    yield compare(PAGE, "patches", of_patches(table))
    for labels, own in table.groupby("labels", sort=False):
        yield compare(PAGE, f"labels {labels}", words(own))


def of_settings(summary: pd.DataFrame) -> str:
    """Return the table of all settings as Markdown."""
    head = "steps", "rate", "share", "mean gain", "least gain of an image", "lose more than 0.05"
    rows = [
        [
            *(f"{r.steps:.0f}", f"{r.rate:g}", f"{r.share:g}"),
            *(f"{r.gain:+.4f}", f"{r.least:+.3f}", f"{r.lost:.0f}"),
        ]
        for r in summary.itertuples()
    ]
    return markdown.table(head, rows)


def of_microscopes(table: pd.DataFrame) -> str:
    """Return the table of the microscopes with the chosen setting as Markdown."""
    is_chosen = (table[choose.SETTING] == [*USED.values()]).all(axis=1)
    head = "microscope", "Dice before", "mean gain", "least gain"
    rows = [
        [r.microscope, f"{r.before:.3f}", f"{r.gain:+.4f}", f"{r.least:+.3f}"]
        for r in table[is_chosen].itertuples()
    ]
    return markdown.table(head, rows)


def of_patches(table: pd.DataFrame) -> str:
    """Return the table of the patches as Markdown."""
    after = table.pivot(index="patch", columns="labels", values="after")
    before = table.groupby("patch").before.first()
    names = list(table.labels.unique())
    rows = [
        [name, f"{before[name]:.3f}", *(f"{after[each][name]:.3f}" for each in names)]
        for name in before.index
    ]
    return markdown.table(("patch", "Dice before", *names), rows)


def words(own: pd.DataFrame) -> str:
    """Return what `passband tune` says of the gain on the patches, and whether it is written."""
    left_out = [LeftOut(r.patch, r.before, r.after) for r in own.itertuples()]
    found = Tuned("general", Path("mine"), len(own), tuple(left_out))
    return found.tested
