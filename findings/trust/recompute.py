"""Finds the particles of `general-2026` again, and compares the confidence on the pages."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from findings.pages import compare
from findings.trust import particle_confidence

PAGE = Path("findings/trust/README.md")
TRUST = Path("docs/trust.md")
#: Names of the scores on the page.
SCORES = {
    "area": "area alone",
    "mean probability": "`mean_probability`",
    "found in": "`found_in`",
}
#: How much a share may differ on another processor, where networks round differently.
WITHIN = 0.02


def recompute() -> Iterator[str]:
    """Yield a line for each thing that was compared, or was not.

    Raises:
        PassbandError: If a number differs.
    """
    found = np.stack([*particle_confidence.of_general()])
    values = particle_confidence.with_both(found)
    false = np.count_nonzero(values[:, 1] == 0)
    rows, difference = particle_confidence.table(values)
    lines = [f"| particles, false ones | {len(values)}, {false} |"]
    lines += [f"| {name} | {rows[score][0]} |" for score, name in SCORES.items()]
    yield compare(PAGE, "particles of `general-2026`", "\n".join(lines), within=WITHIN)
    first, *others = particle_confidence.shares(values)
    of_others = (line.removeprefix("mean probability ") for line in others)
    yield compare(PAGE, "true particles", "; ".join([first, *of_others]), within=WITHIN)
    yield compare(PAGE, "difference", f"that of the area is {difference}", within=WITHIN)
    area, mean = (rows[score][0].partition(" ")[0] for score in ("area", "mean probability"))
    yield compare(TRUST, "AUROC of area and mean", f"(AUROC {area} and {mean})", within=WITHIN)
    yield "skipped: tables of the demo: frozen at version 0.1.0"
    yield "skipped: real images: needs their patches, and `make real`"
