"""Compares the page with the tables of Dice on simulated microscopes and on real patches."""

from collections.abc import Iterator

import pandas as pd

from examples import tune
from findings.pages import compare
from findings.tune import choose, patches
from passband import PassbandError
from passband.reports import markdown

PAGE = choose.FOLDER / "README.md"
#: What `examples/tune.py` does.
USED = {"steps": tune.STEPS, "rate": tune.RATE, "share": 1.0}


def recompute() -> Iterator[str]:
    """Yield a line for each thing that was compared.

    Raises:
        PassbandError: If a number differs, or if `examples/tune.py` has other settings than the
            rule chooses.
    """
    summary = choose.summary(pd.read_csv(choose.TABLE))
    if choose.chosen(summary) != USED:
        raise PassbandError(f"{choose.TABLE}: the rule chooses {choose.chosen(summary)}")
    yield f"{choose.TABLE}: the rule chooses what `examples/tune.py` does"
    yield compare(PAGE, "simulated microscopes", of_settings(summary))
    yield compare(PAGE, "each microscope", of_microscopes(pd.read_csv(choose.TABLE)))
    if not patches.TABLE.exists():
        yield f"skipped: patches: there is no {patches.TABLE}; see findings.tune.patches"
        return
    table = pd.read_csv(patches.TABLE)
    yield compare(PAGE, "patches", of_patches(table))
    for labels, own in table.groupby("labels", sort=False):
        yield compare(PAGE, f"labels {labels}", patches.gain(own))


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
