"""Train a tenth, predict the rest: the error of hidden networks from few known ones.

Whole training conditions are known, drawn at random, and the Dice of all others under all tests is
predicted: by the process on T(q), bits and dose and on scaled parameters, both with parameters
found from what is known; by the completion that the package had up to version 0.2.0, with its
distances of published scalars; and by the mean of the known networks under each test.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import numpy as np

from findings.twelve_thousand.completion import complete_rows, feature_distance
from findings.twelve_thousand.kernels import KERNELS
from findings.twelve_thousand.lines import Cells
from findings.twelve_thousand.pieces import DATA, append
from passband.prediction.matrix.level_scores import fit, scaled
from passband.seeds import generator

#: Numbers of training conditions whose networks are known, and of random choices of each number.
KNOWN = (96, 192, 384)
DRAWS = 3
PROCESS = "T(q), bits and dose"
COMPLETION = "completion"
SCALED = "scaled parameters"
MEAN = "mean of known networks"
#: What a perfect prediction would miss: the noise of the mean of the replicas.
NOISE = "noise of replicas"


def predictions(
    cells: Cells, Y: np.ndarray, known: np.ndarray, distance: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the Dice (hidden, test) that each predictor expects of the hidden networks.

    Args:
        Y: (train, test), mean Dice. That of hidden networks is not used.
        known: (train,) bool.
        distance: (train, train), the distances of the completion.
    """
    train, test = cells.ends
    seen = train[known], test
    found = {}
    for name, kernel in ((PROCESS, KERNELS[PROCESS]), (SCALED, scaled(*seen))):
        process = fit(Y[known], seen, kernel)
        found[name], _ = process.predict(train[~known], None)
    found[COMPLETION] = complete_rows(Y, known, distance)[~known]
    found[MEAN] = np.broadcast_to(Y[known].mean(0), found[PROCESS].shape)
    return found


def rows(cells: Cells, numbers: Sequence[int] = KNOWN, draws: int = DRAWS) -> Iterator[dict]:
    """Yield the root mean square error of each predictor for each draw."""
    D = cells.replicas
    Y = D.mean(1)
    distance = feature_distance(cells.features)
    noise = D.var(1, ddof=1) / D.shape[1]
    for number, draw in product(numbers, range(draws)):
        known = np.zeros(len(Y), dtype=bool)
        drawn = generator("tenth", number, draw).choice(len(Y), number, replace=False)
        known[drawn] = True
        found = predictions(cells, Y, known, distance)
        squares = {name: ((each - Y[~known]) ** 2).mean() for name, each in found.items()}
        for name, square in (squares | {NOISE: noise[~known].mean()}).items():
            row = {"known": number, "draw": draw, "predictor": name}
            yield row | {"rmse": round(float(np.sqrt(square)), 4)}


def write(folder: Path = DATA) -> int:
    """Write the table ``tenth.csv``, and return the exit status 0."""
    path = folder / "tenth.csv"
    cells = Cells.of_pieces()
    path.unlink(missing_ok=True)
    for row in rows(cells):
        append(path, row | {"rmse": f"{row['rmse']:.4f}"})
    print(path)
    return 0
