"""Which network is best by Dice, and which by the particles that it finds.

    passband run studies/particles.yaml               # 4 minutes on 2 cores
    python -m findings.particles.choice particles     # writes choice.csv
    python -m findings.particles.choice               # prints what follows from it

A row of ``choice.csv`` is a network under a test condition, on one half of the test structures. One
half chooses the network for each test condition, by Dice or by the F1 score of particles, and the
other half judges it by the F1 score, both ways. Intervals are those of a bootstrap over test
conditions.

What would refute that F1 is no twin of Dice, as it was written before the study was finished: the
interval of what a choice by Dice loses of F1 on other structures, less what a choice by F1 loses,
includes 0.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from passband import PassbandError
from passband.analysis.correlation import rank_correlation
from passband.grid import Condition
from passband.prediction.recommend.recommendation_scores import CONFIDENCE, estimate
from passband.reports import markdown
from passband.reports.page.found_particles import correlations
from passband.results import Results

TABLE = Path("findings/particles/choice.csv")
SCORES = ("dice", "instance_f1", "count_error", "diameter_bias")
HEAD = "what", "value"


def halves(results: Results) -> pd.DataFrame:
    """Return the scores of each network under each test condition, on both halves of structures."""
    (matrix,) = results.matrices()
    rows = []
    for half in (0, 1):
        places = range(half, matrix.structures, 2)
        means = [matrix.images(score=s, structures=places).mean((1, -1)) for s in SCORES]
        rows += [
            (train, test, half, *(mean[i, j] for mean in means))
            for i, train in enumerate(matrix.rows)
            for j, test in enumerate(matrix.columns)
        ]
    return pd.DataFrame(rows, columns=["train", "test", "half", *SCORES])


def report(table: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the rows of the page's table: what was asked, and what came out."""
    train, test = (list(dict.fromkeys(table[side])) for side in ("train", "test"))
    shape = 2, len(train), len(test)
    values = {name: table[name].to_numpy().reshape(shape) for name in SCORES}
    dice = values["dice"]
    f1 = values["instance_f1"]
    conditions = ([Condition.parse(id) for id in side] for side in (train, test))
    whole = [each.mean(0) for each in (dice, f1)]
    rho = correlations(*whole, *conditions)
    within = [rank_correlation(*(each[:, j] for each in whole)) for j in range(len(test))]
    chosen = {name: values[name].argmax(1) for name in ("dice", "instance_f1")}
    differ = np.count_nonzero(chosen["dice"] != chosen["instance_f1"])
    best = f1.max(1)
    # The half that chooses is not the half that judges.
    judged = {n: np.take_along_axis(f1[::-1], k[:, None], 1)[:, 0] for n, k in chosen.items()}
    lost = {name: (best[::-1] - each).mean(0) for name, each in judged.items()}
    rows = [
        ("ρ of F1 with Dice over all pairs of different conditions", rho["all"]),
        ("ρ over pairs with the same dose", rho["equal"]),
        ("ρ over pairs with different doses", rho["different"]),
        ("ρ over the networks under a test condition, mean and lowest", within),
    ]
    cells = [
        (what, f"{np.mean(v):.2f}" + (f", {min(v):.2f}" if isinstance(v, list) else ""))
        for what, v in rows
    ]
    cells.append(("choices by F1 and by Dice that differ", f"{differ} of {2 * len(test)}"))
    for what, values_of in (
        ("F1 lost on other structures by a choice by Dice", lost["dice"]),
        ("F1 lost on other structures by a choice by F1", lost["instance_f1"]),
        ("the first less the second", lost["dice"] - lost["instance_f1"]),
    ):
        found = estimate(values_of, "particles")
        text = f"{found.value:+.3f} ({found.low:+.3f} to {found.high:+.3f})"
        cells.append((what, text))
    home = np.equal.outer(np.array(train), np.array(test))
    for name, words in (
        ("dice", "Dice"),
        ("instance_f1", "F1"),
        ("count_error", "error of the number"),
        ("diameter_bias", "error of the mean diameter"),
    ):
        mean = values[name].mean(0)
        text = f"{mean[home].mean():.2f}, {mean[~home].mean():.2f}"
        cells.append((f"{words} at home, and under other conditions", text))
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", nargs="?", help="a finished study with a head")
    given = parser.parse_args().study
    try:
        if given:
            table = halves(Results.find(given).existing())
            table.to_csv(TABLE, index=False, float_format="%.5f", lineterminator="\n")
    except PassbandError as error:
        parser.exit(1, f"{error}\n")
    if not TABLE.exists():
        parser.exit(1, f"{TABLE}: is not there; name a finished study\n")
    print(markdown.table(HEAD, report(pd.read_csv(TABLE))))
    print(f"In parentheses: {CONFIDENCE:.0%} bootstrap intervals over the test conditions.")


if __name__ == "__main__":
    main()
