"""Dice of chosen networks on structures that no model learned from, from ``choices.csv``.

With version 0.2.0, the networks that rules choose for drawn microscopes were trained again from
their seeds, beside networks that are trained under the microscopes themselves, and one of a mixture
over all ranges, with the same number of steps. They were tested on structures that no model and no
choice has seen.
"""

import csv
from pathlib import Path
from typing import Any

import numpy as np

from findings.twelve_thousand.results import Estimate
from passband.analysis.bootstrap import interval_edges, percentile_interval, resample

#: The folder of ``choices.csv``.
FOLDER = Path("findings/choosing")
#: The network with the highest expected Dice, which `recommend` names first, and the rule whose
#: name in the file is older than the one on the page.
OURS = "recommended"
NEAREST = "nearest in scaled parameters"
DRAWS, CONFIDENCE = 2000, 0.95


def summary(folder: Path = FOLDER) -> str:
    """Return ``choices.csv`` as a table: mean Dice of each rule, and what is recommended minus it.

    The bootstrap resamples the microscopes and the structures together.
    """
    with (folder / "choices.csv").open(newline="") as file:
        _, *lines = csv.reader(file)
    D: dict[str, Any] = {}
    for _, rule, _, *dice in lines:
        D.setdefault(rule, []).append([float(value) for value in dice])
    D = {rule: np.array(values) for rule, values in D.items()}

    def both_ways(values: np.ndarray) -> str:
        sides = (
            resample(number, DRAWS, "choices", side) / number
            for number, side in zip(values.shape, ("microscopes", "structures"), strict=True)
        )
        means = np.einsum("dm,ms,ds->d", next(sides), values, next(sides), optimize=True)
        ends = percentile_interval(means, interval_edges(CONFIDENCE))
        return Estimate(float(values.mean()), *map(float, ends)).words("z.4f")

    head = "| network | Dice | recommended minus this |\n|---|---|---|"
    words = {NEAREST: "nearest in parameters by range"}
    rows = [
        f"| {words.get(rule, rule)} | {both_ways(v)} | {both_ways(D[OURS] - v)} |"
        for rule, v in D.items()
    ]
    return "\n".join([head, *rows])
