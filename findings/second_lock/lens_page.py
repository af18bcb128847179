"""Writes the tables of part 1 into README.md, from its result.

    python -m findings.second_lock.lens_page

Run it from the repository's root.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from findings.pages import interval
from findings.second_lock import features, lens_or_image
from findings.second_lock.lens_or_image import IMAGE, LENS, LOCK, NOT_TOLD
from findings.second_lock.locked import FOLDER, LockPage
from passband.reports import markdown
from passband.words import listed

PATH = FOLDER / "README.md"
#: The processor time of all runs.
COSTS = FOLDER / "costs.csv"
#: The core-hours that a part may take.
SHARES = {1: 1.2, 2: 1.5, 3: 3.5, 4: 1.8, 5: 2}
#: How much of the result may differ: it followed from Dice that was not yet rounded.
ROUNDING = 2e-4


def tables(found: Mapping[str, Any]) -> dict[str, str]:
    """Return the tables by the names of their places."""
    return {
        "differences": differences(found),
        "claims": claims(found["claims"]),
        "lines": lines(found),
    }


def differences(found: Mapping[str, Any]) -> str:
    """Return the primary difference of R², that of each group, and the secondary ones."""
    primary = found["primary"]
    name = f"{LENS} - {IMAGE}"
    rows = [[f"**{name}, primary**", interval(primary, sign="+"), f"**{primary['verdict']}**"]]
    rows += [
        [f"{name}, {group}", interval(of[name], sign="+"), markdown.NONE]
        for group, of in found["groups"].items()
    ]
    rows += [
        [name, interval(of, sign="+"), p_value(of["p_holm"])]
        for name, of in found["secondary"].items()
    ]
    return markdown.table(["difference of R²", "95% interval", "verdict, or p (Holm)"], rows)


def claims(of: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the word for each claim, with its numbers."""
    predicts, worth = of.values()
    rows = [
        [
            "A predicts new axes",
            "R² ≥ 0.80 and INT ≥ 0.75",
            "INT is not above raw's by 0.05",
            f"{predicts['r2']:.3f} and {predicts['interaction']:.3f}; "
            f"above raw's by {predicts['above_raw']:.3f}",
            f"**{predicts['verdict']}**",
        ],
        [
            "it is worth telling the axis",
            "A − A not told is above 0",
            "it is not",
            interval(worth, sign="+"),
            f"**{worth['verdict']}**",
        ],
    ]
    return markdown.table(["claim", "holds if", "refuted if", "came out", "verdict"], rows)


def lines(found: Mapping[str, Any]) -> str:
    """Return R² and INT of each line, over all tests and by group; the best lines first."""
    order = sorted(found["lines"], key=lambda name: -found["lines"][name]["r2"])
    rows = []
    for name in order:
        several = [found["lines"][name], *(of["lines"][name] for of in found["groups"].values())]
        rows.append([name, *(f"{of['r2']:z.3f} / {of['interaction']:z.2f}" for of in several)])
    ceilings = [found, *found["groups"].values()]
    rows.append(
        ["ceiling of INT", *(f"{of['lines'][LENS]['ceiling']:.2f}" for of in ceilings)],
    )
    return markdown.table(["R² / INT", "all", *found["groups"]], rows)


def statements(found: Mapping[str, Any]) -> dict[Path, list[str]]:
    """Return what pages say of the result in sentences, by the page."""
    of = found["lines"]
    r2 = {name: each["r2"] for name, each in of.items()}
    apart = interval(found["primary"], sign="+")
    word = found["primary"]["verdict"]
    told = interval(found["secondary"][f"{LENS} - {NOT_TOLD}"], sign="+")
    values = (
        f"{r2[LENS]:.3f} by one curve",
        f"({r2[NOT_TOLD]:.3f} without the new axis)",
        f"{r2['raw']:.3f} by defocus, Cs, aperture and dose",
        f"{r2['mean of each network']:.3f} by each network's own mean",
    )
    expected = f"{of[LENS]['interaction']:.3f}"
    return {
        PATH: [costs(), f"It is {word}", f"{r2[LENS]:.3f} for A and {r2[IMAGE]:.3f} for B"],
        Path("docs/findings.md"): [f"That is {word}", apart, expected, *values],
        Path("findings/README.md"): [f"includes 0: {apart}", f"includes 0: {told}", expected],
    }


def costs() -> str:
    """Return what the runs of each part took, and its share, as a part of a sentence."""
    hours = pd.read_csv(COSTS).groupby("part").seconds.sum() / 3600
    return listed(
        [f"{hours[part]:.2f} of {SHARES[part]:g} for part {part}" for part in hours.index]
    )


def p_value(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def scored(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return the result that follows from the predictions and what was measured."""
    predicted = LOCK.read() | {name: arrays[name] for name in features.RISES}
    return lens_or_image.result(arrays["dice"], predicted, lens_or_image.doses())


PAGE = LockPage("part 1", PATH, tables, statements, lock=LOCK, scored=scored, rounding=ROUNDING)


if __name__ == "__main__":
    PAGE.write()
