"""Writes the tables of damaged.md, and compares the page and the result with their files.

    python -m findings.second_lock.damaged_page

Run it from the repository's root.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from findings.pages import interval
from findings.second_lock.damage import DOSES
from findings.second_lock.damaged import KINDS, LOCK, result
from findings.second_lock.locked import FOLDER, LockPage
from passband.reports import markdown

PATH = FOLDER / "damaged.md"
LINES = {
    "B": "B, the patch's own spectrum",
    "A": "A, the lens",
    "raw": "raw",
    "dose": "dose",
    "own mean": "each network's own mean",
}
#: The values of a score, by the words of a column.
SCORES = {"ρ of all cells": "rho", "ρ₁ of networks": "rho1", "absolute error": "error"}


def tables(found: Mapping[str, Any]) -> dict[str, str]:
    """Return the tables of claims, scores of lines, and Dice and ρ by patch, by their places.

    Args:
        found: The result.
    """
    verdicts = [[claim, f"**{each['verdict']}**"] for claim, each in found["claims"].items()]
    rows = [
        [words, *(interval(found["lines"][line][score]) for score in SCORES.values())]
        for line, words in LINES.items()
    ]
    rows.append(["mean Dice of the other patches", "–", "–", interval(found["constant"])])
    patches = found["patches"]
    of_patch = [
        [f"Dice, {arm}, dose × {dose:g}", *(f"{found['dice'][p][k][i]:.3f}" for p in patches)]
        for k, arm in enumerate(KINDS)
        for i, dose in enumerate(DOSES)
    ]
    of_patch += [
        [f"ρ of {line}", *(f"{x:.2f}" for x in found["lines"][line]["rho"]["patches"])]
        for line in LINES
    ]
    of_patch += [
        [f"defocus and dose of {line}", *(_pair(line, *of[patch]) for patch in patches)]
        for line, of in found["pairs"].items()
    ]
    return {
        "claims": markdown.table(["claim", "verdict"], verdicts),
        "lines": markdown.table(["line", *SCORES], rows),
        "patches": markdown.table(["", *patches], of_patch),
    }


def _pair(line: str, defocus_nm: float, dose: float) -> str:
    """Return what was fitted to other patches; the dose alone has no defocus."""
    defocus = markdown.NONE if line == "dose" else f"{defocus_nm:g} nm"
    return f"{defocus}, {dose:g} e/Å²"


def statements(found: Mapping[str, Any]) -> dict[Path, list[str]]:
    """Return what pages say of the result in sentences, by the page."""
    of = found["lines"]
    rho = {line: each["rho"]["value"] for line, each in of.items()}
    rho1 = {line: each["rho1"]["value"] for line, each in of.items()}
    cells = f"A {rho['A']:.2f}, B {rho['B']:.2f}, the dose alone {rho['dose']:.2f}"
    networks = f"A {rho1['A']:.2f}, B {rho1['B']:.2f}, the dose alone {rho1['dose']:.2f}"
    return {
        PATH: [cells, f"{networks}, raw parameters {rho1['raw']:.2f}"],
        Path("findings/README.md"): [cells, networks],
    }


def scored(dice: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return the result that follows from the predictions and the Dice of patches."""
    return result(LOCK.read(), dice)


PAGE = LockPage("part 5", PATH, tables, statements, lock=LOCK, scored=scored)


if __name__ == "__main__":
    PAGE.write()
