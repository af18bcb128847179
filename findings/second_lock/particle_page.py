"""Writes the tables of particles.md from what part 4 has written when it was opened.

    python -m findings.second_lock.particle_page

Run it from the repository's root.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from findings.second_lock.lens_or_image import LENS
from findings.second_lock.lines import LINES
from findings.second_lock.locked import FOLDER, LockPage
from findings.second_lock.particle_scores import DIAMETER, F1, SCORES
from findings.second_lock.particles import LOCK, TEST_MEAN, scored
from passband.reports import markdown

PATH = FOLDER / "particles.md"
GROUPS = {"rule": "the rule for masks", "votes": "the head `votes`"}


def tables(found: Mapping[str, Any]) -> dict[str, str]:
    """Return the tables by the names of their places."""
    claim = "scores of particles follow the lens as Dice does"
    made = {
        "claim": markdown.table(["claim", "verdict"], [[claim, f"**{found['verdict']}**"]]),
    }
    means = []
    for group, words in GROUPS.items():
        if group not in found:
            made[group] = f"Networks did not learn {words}."
            continue
        of = found[group]
        made[group] = markdown.table(
            ["score", "predicted by", "R²", "INT", "ceiling", "mean error", "cells without"],
            [
                [score.words, line, *_cells(of[name][line])]
                for name, score in SCORES.items()
                for line in (*LINES, TEST_MEAN)
            ],
        )
        values = [f"{of[name]['mean']:.3f}" for name in SCORES]
        means.append([words, f"{found['F1 at home'][group]:.3f}", *values])
    head = ["particles by", "F1 at home", *(f"{each.words}, abroad" for each in SCORES.values())]
    made["means"] = markdown.table(head, means)
    apart = [
        [name, f"{each['value']:z.3f}", _ends(each), f"{each['p']:.2g}"]
        for name, each in found["rule"]["differences of F1"].items()
    ]
    made["differences"] = markdown.table(["F1 of the rule", "D", "95% interval", "p"], apart)
    return made


def _cells(of: Mapping[str, float]) -> list[str]:
    shares = [f"{of[name]:z.3f}" for name in ("r2", "interaction", "ceiling")]
    shares = [markdown.NONE if each == "nan" else each for each in shares]
    return [*shares, f"{of['error']:.3f}", f"{of['unjudged']:,}"]


def _ends(of: Mapping[str, float]) -> str:
    return f"{of['low']:z.3f} to {of['high']:z.3f}"


def statements(found: Mapping[str, Any]) -> dict[Path, list[str]]:
    """Return what pages say of the result in sentences, by the page."""
    f1 = found["rule"][F1][LENS]
    bias = found["rule"][DIAMETER][LENS]["error"]
    apart = found["rule"]["differences of F1"][f"{LENS} - raw"]
    above = f"above raw parameters by {apart['value']:.3f} ({_ends(apart)})"
    return {
        PATH: [
            f"R² {f1['r2']:.3f} (0.90 was asked), INT {f1['interaction']:.3f} (0.75)",
            f"within {bias:.3f} (0.03)",
            f"the ceiling is {f1['ceiling']:.3f}",
            above,
        ],
        Path("findings/README.md"): [
            f"R² is {f1['r2']:.3f} (0.9 expected), the interaction {f1['interaction']:.3f} (0.75; "
            f"the ceiling is {f1['ceiling']:.3f}), and the diameter's bias predicted within "
            f"{bias:.3f} (0.03)",
        ],
    }


PAGE = LockPage("part 4", PATH, tables, statements, lock=LOCK, scored=scored)


if __name__ == "__main__":
    PAGE.write()
