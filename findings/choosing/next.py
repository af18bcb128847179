"""How well hidden networks are predicted, if `passband next` chose the known ones.

    python -m findings.choosing.next                    # the pilot, about two minutes
    python -m findings.choosing.next --quick            # a tenth of the networks
    python -m findings.choosing.next --matrix ood.zarr.zip --specimen gold

Run it from the repository's root. The matrix of studies/pilot.yaml is known, from Passband 0.1.0
and without the intervals of single pairs. A part of its networks is shown to the Gaussian process
of `passband recommend`, which predicts the Dice of all others under all test conditions. The known
networks are drawn at random; or four are drawn at random, and `passband next` chooses the others,
at most half as many in a batch as are known; or they are far apart in transfer and dose.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from findings.choosing.far_apart import farthest_points
from passband.analysis.profiles import SAMPLES, flat_spectrum, profiles
from passband.config import validate_stored
from passband.grid import Condition
from passband.prediction import gaussian_process
from passband.prediction.recommend import sequential_design
from passband.prediction.recommend.network_ranking import distances
from passband.storage import datasets

PILOT = Path("tests/data/pilot_ood.zarr.zip")
#: Number of networks that are known before the first choice.
START = 4
#: Shares of known networks, and number of random sets of them.
SHARES = (0.1, 0.2, 0.3, 0.5)
SETS = 20
HEAD = "known networks", "chosen", "at random", "far apart", "expected for the chosen"


class Matrix:
    """The Dice of a matrix, (network, test), and the profiles of its conditions."""

    def __init__(self, path: Path, specimen: str):
        metrics = datasets.read(path, datasets.OOD)
        study = validate_stored(json.loads(metrics.attrs["configuration"]), str(path))
        cells = metrics.dice.isel(specimen=0, architecture=0).sel(test_specimen=specimen)
        self.dice = cells.transpose("train", "test").values.astype(float)
        # The spectrum is flat, since the exit waves are not stored with the matrix.
        spectrum = flat_spectrum()
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
        return gaussian_process.fit(self.dice[known], self.train[known], self.test)

    def error(self, rows: Sequence[int]) -> float:
        """Return the root mean square error of the Dice of all other networks."""
        hidden = np.setdiff1d(np.arange(len(self.dice)), rows)
        mean, _ = self.fit(rows).predict(self.train[hidden], self.test)
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


def compared(matrix: Matrix, shares: Sequence[float] = SHARES, sets: int = SETS) -> Iterator[str]:
    """Yield the rows of a table of errors, in Markdown, with standard deviations over the sets."""
    apart = distances(matrix.train, matrix.train, matrix.train)
    for share in shares:
        number = round(share * len(matrix.dice))
        chosen = [matrix.chosen(number, seed) for seed in range(sets)]
        errors = [matrix.error(rows) for rows in chosen]
        at_random = _over_sets(lambda seed, n=number: matrix.error(matrix.random(n, seed)), sets)
        far = matrix.error(farthest_points(apart, number))
        expected = [sequential_design.choose([matrix.unknown(rows)], 0)[1][0] for rows in chosen]
        cells = [
            f"{number} ({share:.0%})",
            _over_sets(errors.__getitem__, sets),
            at_random,
            f"{far:.3g}",
            f"{np.mean(expected):.3f}",
        ]
        yield f"| {' | '.join(cells)} |"


def _over_sets(error: Callable[[int], float], sets: int) -> str:
    """Return the mean and the standard deviation over random sets."""
    values = [error(seed) for seed in range(sets)]
    return f"{np.mean(values):.4f} ± {np.std(values):.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--matrix", type=Path, default=PILOT)
    parser.add_argument("--specimen", default="gold")
    parser.add_argument("--quick", action="store_true", help="a tenth of the networks alone")
    options = parser.parse_args()
    matrix = Matrix(options.matrix, options.specimen)
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}")
    for row in compared(matrix, SHARES[:1] if options.quick else SHARES):
        print(row, flush=True)


if __name__ == "__main__":
    main()
