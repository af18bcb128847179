"""Whether one curve can replace T and the correlation in the package, on cells that were seen.

    python -m findings.second_lock.one_curve  # writes one_curve.csv; 2 minutes on one core

Three kinds of distances between two conditions serve the package's process: its four distances up
to version 0.3.0; with c = sign(T)·√(s/(1 + s)) in place of T and of the correlation √(s/(1 + s));
and c and the dose alone, for information. The process knows the matrix of the twelve thousand, as
in findings/twelve_thousand/afterwards.py, or some of the 200 locked conditions under the old tests,
as a small study would; few of them are drawn several times. The package has c if its R² under the
old and under the new tests, from the twelve thousand, is at most 0.005 below that of the four
distances.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from findings import committed
from findings.twelve_thousand import afterwards
from findings.twelve_thousand.kernels import KERNELS
from findings.twelve_thousand.locked import DICE, TRAIN, UNIT, read_arrays
from findings.twelve_thousand.locked_scores import INSIDE, r2
from passband import PassbandError
from passband.analysis.bootstrap import interval_edges, percentile_interval, resample
from passband.analysis.profiles import Profiles
from passband.prediction import gaussian_process
from passband.prediction.covariance import PROFILES, Kernel, distances
from passband.prediction.matrix import interaction
from passband.seeds import generator

TABLE = Path(__file__).parent / "one_curve.csv"
FOUR = "T, correlation, bits, dose"
ONE = "c, bits, dose"
CURVE = "c, dose"
#: Numbers of locked conditions that are known, those of findings/choosing, and how many sets of
#: them are drawn. The first set is that of findings/choosing.
KNOWN = {200: 1, 47: 12, 24: 12}
#: Groups of known conditions of which each is left out in turn, if all locked ones are known.
FOLDS = 8
DRAWS = 10_000
#: How far R² may be below that of the four distances.
MARGIN = 0.005
KEYS = ("known", "draw", "cells", "distances")


#: The distances, with the same prior. The package has c since this table.
LINES = {
    FOUR: KERNELS["T(q), bits and dose"],
    ONE: PROFILES,
    CURVE: Kernel(("c", "log_dose"), (0.5, 1.0), lambda a, b: distances(a, b)[[0, 2]]),
}


def of_matrix(
    M: np.ndarray,
    old: Sequence[Profiles],
    new: Sequence[Profiles],
    replicas: np.ndarray,
) -> Iterator[dict[str, Any]]:
    """Yield the scores of the 200 locked conditions, predicted from the old matrix.

    Args:
        M: (train, test), the old matrix.
        old, new: Profiles of the training and of the test conditions.
        replicas: (new train, replica, old tests and then new tests), Dice.
    """
    found = {name: afterwards.predicted(M, old, new, kernel) for name, kernel in LINES.items()}
    number = len(old[1])
    for cells, where, test in (
        ("old tests", slice(number), old[1]),
        ("new tests", slice(number, None), new[1]),
    ):
        predicted = {name: D[:, where] for name, D in found.items()}
        names = f"{len(M)}", 0, cells
        yield from scores(names, predicted, replicas[..., where], (new[0], test))


def of_few(
    replicas: np.ndarray,
    other: np.ndarray,
    train: Profiles,
    tests: Sequence[Profiles],
    number: int,
    draw: int = 0,
) -> Iterator[dict[str, Any]]:
    """Yield the scores of some locked conditions as the known ones, by cells.

    *Rows left out* are the networks of all other conditions under the old tests; *new tests* are
    those of the known networks on other structures.

    Args:
        replicas: (train, replica, test), Dice under the old tests.
        other: (train, replica, test), Dice under the new tests on other structures.
        train: Profiles of the locked conditions.
        tests: Profiles of the old tests, and of the new ones.
        number: Number of known conditions.
    """
    M = replicas.mean(1)
    every = np.arange(len(train))
    random = generator("few locked", number, *[draw] * (draw > 0))
    known = np.sort(random.choice(len(train), number, replace=False))
    others = np.setdiff1d(every, known)
    groups = [others]
    if not len(others):
        others = every
        groups = [every[k::FOLDS] for k in range(FOLDS)]
    rows = {}
    columns = {}
    for name, kernel in LINES.items():
        rows[name] = np.empty((len(others), M.shape[1]))
        for out in groups:
            kept = np.setdiff1d(known, out)
            model = gaussian_process.fit(M[kept], train[kept], tests[0], kernel=kernel)
            rows[name][np.searchsorted(others, out)] = model.predict(train[out], None)[0]
        model = gaussian_process.fit(M[known], train[known], tests[0], kernel=kernel)
        columns[name] = model.predict(None, tests[1])[0]
    ends = train[others], tests[0]
    yield from scores((f"{number}", draw, "rows left out"), rows, replicas[others], ends)
    ends = train[known], tests[1]
    yield from scores((f"{number}", draw, "new tests"), columns, other[known], ends)


def scores(
    names: tuple[str, int, str],
    predicted: dict[str, np.ndarray],
    replicas: np.ndarray,
    ends: tuple[Profiles, Profiles],
) -> Iterator[dict[str, Any]]:
    """Yield a row for each kind of distances, with the difference from the four distances.

    Its 95% interval resamples training conditions, and new test conditions too. `chosen` is the
    mean Dice of the network that would be recommended for each new test.

    Args:
        names: The number of known conditions, the draw, and the cells.
        predicted: Dice (train, test) by the kind of distances.
        replicas: (train, replica, test), Dice.
        ends: Profiles of both sides.
    """
    true = replicas.mean(1)
    *_, cells = names
    weights = [resample(len(true), DRAWS, "locked set", "train")]
    if cells == "new tests":
        weights.append(resample(true.shape[1], DRAWS, "locked set", "test"))
    doses = tuple(10**end.log_dose for end in ends)
    drawn = {name: r2(true, D, *weights) for name, D in predicted.items()}
    for name, D in predicted.items():
        of = interaction.scores(true, D, doses, replicas)
        low, high = percentile_interval(drawn[name] - drawn[FOUR], interval_edges(0.95))
        row = dict(zip(KEYS, (*names, name), strict=True))
        value = float(r2(true, D))
        row |= {"r2": value, "interaction": of["interaction"]}
        row["minus_four"] = value - float(r2(true, predicted[FOUR]))
        row |= {"low": float(low), "high": float(high)}
        if cells == "new tests":
            row["chosen"] = float(true[D.argmax(0), range(true.shape[1])].mean())
        yield row


def holds(frame: pd.DataFrame) -> bool:
    """Return whether c is at most :data:`MARGIN` below the four distances, as was fixed."""
    judged = frame[(frame.distances == ONE) & (frame.known.astype(str) == "1728")]
    return bool((judged.minus_four >= -MARGIN).all())


def computed(progress: Callable[[str], None] = print) -> pd.DataFrame:
    """Return the table.

    Args:
        progress: Is called with each row that is done.
    """
    M, old, new = afterwards.ends()
    dice = {name: D[:INSIDE] / UNIT for name, D in read_arrays(DICE).items()}
    train = new[0][:TRAIN]
    number = len(old[1])
    first = dice["old"][..., :number]
    later = dice["new"][..., number:]
    found = []
    parts = [of_matrix(M, old, (train, new[1]), dice["old"])]
    for known, draws in KNOWN.items():
        sides = train, (old[1], new[1])
        parts += [of_few(first, later, *sides, known, draw) for draw in range(draws)]
    for part in parts:
        for row in part:
            found.append(row)
            progress(" ".join(f"{value}" for value in row.values()))
    return pd.DataFrame(found)


def write() -> int:
    """Write the table, and say whether the distances of the package become c; return 0."""
    frame = computed(lambda words: print(words, file=sys.stderr))
    committed.write(frame, TABLE)
    groups = frame.groupby([*KEYS[:1], *KEYS[2:]], sort=False)
    print(groups[["r2", "interaction", "minus_four", "chosen"]].mean().to_string())
    print(f"{ONE}: {'holds' if holds(frame) else 'refuted'}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(write())
    except PassbandError as error:
        sys.exit(str(error))
