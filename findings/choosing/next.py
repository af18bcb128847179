"""Measure how well hidden networks are predicted, if `passband next` chose the known ones.

    python benchmarks/next.py                    # the pilot, about two minutes
    python benchmarks/next.py --quick            # two random sets, a tenth of the networks
    python benchmarks/next.py --matrix ood.zarr.zip --specimen gold

The matrix of studies/pilot.yaml is known, from Passband 0.1.0 and without the intervals of single
pairs. A part of its networks is shown to the Gaussian process of `passband recommend`, which
predicts the Dice of all others under all test conditions. The known networks are drawn at random;
or four are drawn at random, and `passband next` chooses the others, at most half as many in a batch
as are known; or they are far apart in transfer and dose. The benchmark compares errors, and no
times.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.harness import Table
from findings.choosing.far_apart import farthest_points
from passband.analysis.profiles import SAMPLES, flat_spectrum, profiles
from passband.config import validate
from passband.grid import Condition
from passband.prediction import gaussian_process
from passband.prediction.recommend import sequential_design
from passband.prediction.recommend.network_ranking import distances
from passband.storage import datasets

ROOT = Path(__file__).resolve().parents[1]
#: Number of networks that are known before the first choice.
START = 4
#: Shares of known networks, with the largest allowed error.
GOALS = {0.1: 0.086, 0.2: None, 0.3: None, 0.5: 0.0566}


class Matrix:
    """The Dice of a matrix, (network, test), and the profiles of its conditions."""

    def __init__(self, path: Path, specimen: str):
        metrics = datasets.read(path, datasets.OOD)
        study = validate(json.loads(metrics.attrs["configuration"]), str(path))
        cells = metrics.dice.isel(specimen=0, architecture=0).sel(test_specimen=specimen)
        self.dice = cells.transpose("train", "test").values.astype(float)
        # The spectrum is flat, since the exit waves are not stored with the matrix.
        spectrum = flat_spectrum(study.information.flat_power_A2)
        self.train, self.test = (
            profiles(
                [Condition.parse(str(id)) for id in cells[side].values],
                study.microscope,
                SAMPLES,
                spectrum,
                study.study.seed,
            )
            for side in ("train", "test")
        )

    def fit(self, rows: Sequence[int]) -> gaussian_process.GaussianProcess:
        """Return the model that knows some networks."""
        known = np.sort(rows)
        return gaussian_process.fit(self.dice[known], self.train.isel(condition=known), self.test)

    def error(self, rows: Sequence[int]) -> float:
        """Return the root mean square error of the Dice of all other networks."""
        hidden = np.setdiff1d(np.arange(len(self.dice)), rows)
        mean, _ = self.fit(rows).predict(self.train.isel(condition=hidden), self.test)
        return float(np.sqrt(((mean - self.dice[hidden]) ** 2).mean()))

    def unknown(self, rows: Sequence[int]) -> sequential_design.Unknown:
        """Return what the model that knows some networks does not know."""
        is_known = np.isin(np.arange(len(self.dice)), rows)
        return sequential_design.unknown(self.fit(rows), self.train, is_known)

    def random(self, number: int, seed: int) -> list[int]:
        """Return random networks."""
        drawn = np.random.default_rng(seed).choice(len(self.dice), number, replace=False)
        return [int(row) for row in drawn]

    def chosen(self, number: int, seed: int) -> list[int]:
        """Return random networks, and those that are chosen from all others."""
        rows = self.random(START, seed)
        while len(rows) < number:
            batch = min(len(rows) // 2, number - len(rows))
            rows += sequential_design.choose([self.unknown(rows)], batch)[0]
        return rows


def mean(what: Callable[[int], float], sets: int) -> tuple[float, float]:
    """Return the mean and the standard deviation over random sets."""
    values = [what(seed) for seed in range(sets)]
    return float(np.mean(values)), float(np.std(values))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--matrix", type=Path, default=ROOT / "tests/data/pilot_ood.zarr.zip")
    parser.add_argument("--specimen", default="gold")
    parser.add_argument("--quick", action="store_true", help="fewer sets and shares")
    options = parser.parse_args()
    matrix = Matrix(options.matrix, options.specimen)
    sets, shares = (2, [0.1]) if options.quick else (20, list(GOALS))
    apart = distances(matrix.train, matrix.train, matrix.train)
    printed = Table()
    for share in shares:
        number = round(share * len(matrix.dice))
        sizes = f"{number} of {len(matrix.dice)} networks known"
        sets_of = {seed: matrix.chosen(number, seed) for seed in range(sets)}
        value, deviation = mean(lambda seed, of=sets_of: matrix.error(of[seed]), sets)
        printed.row(f"{sizes}, chosen: error of Dice", GOALS[share], value, digits=4)
        printed.row("    standard deviation over sets", None, deviation)
        value, _ = mean(
            lambda seed, of=sets_of: sequential_design.choose([matrix.unknown(of[seed])], 0)[1][0],
            sets,
        )
        printed.row("    the error that the process expects", None, value)
        value, deviation = mean(lambda seed, n=number: matrix.error(matrix.random(n, seed)), sets)
        printed.row(f"{sizes}, at random: error of Dice", None, value)
        printed.row("    standard deviation over sets", None, deviation)
        far = matrix.error(farthest_points(apart, number))
        printed.row(f"{sizes}, far apart: error of Dice", None, far)


if __name__ == "__main__":
    main()
