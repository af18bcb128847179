"""Statistics of the matrix of Dice of studies/twelve-thousand.yaml, with intervals.

M(i, j) is the mean Dice, over replicas and images, of the networks that were trained under the
condition i and are tested under the condition j. Every interval is a 95% percentile interval of
bootstrap samples, in which the replicas of each training condition and the images are resampled.
All conditions have the same images, so they have the same samples of images.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from findings.twelve_thousand.packed import matrices
from passband import PassbandError
from passband.analysis.bootstrap import interval_edges, percentile_interval, resample
from passband.axes import MAIN_AXES

DRAWS, CONFIDENCE = 200, 0.95
DOSE = "dose_e_per_A2"
LENS = tuple(name for name in MAIN_AXES if name != DOSE)


@dataclass(frozen=True)
class Estimate:
    """A value and the ends of its interval."""

    value: float
    low: float
    high: float

    def words(self, form: str = "z.3f") -> str:
        """Return the value and its interval as text, such as ``0.912 (0.905 to 0.918)``."""
        value, low, high = (format(x, form) for x in (self.value, self.low, self.high))
        return f"{value} ({low} to {high})"


@dataclass(frozen=True)
class Conditions:
    """The conditions of one side of the matrix.

    Attributes:
        values: Their values on each of the four main axes, (conditions,).
    """

    ids: tuple[str, ...]
    values: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, data: Mapping[str, xr.Variable] | xr.Dataset, side: str) -> "Conditions":
        """Return the conditions along `train` or `test`, from the coordinates of results."""
        values = {name: data[f"{side}_{name}"].values for name in MAIN_AXES}
        return cls(tuple(map(str, data[side].values)), values)

    def levels(self, name: str) -> np.ndarray:
        """Return the values of an axis, ascending and each once."""
        return np.unique(self.values[name])

    def codes(self, names: Sequence[str]) -> tuple[int, np.ndarray]:
        """Return the number of combinations of values of axes, and each condition's combination."""
        rows = np.stack([self.values[name] for name in names], axis=1)
        unique, codes = np.unique(rows, axis=0, return_inverse=True)
        return len(unique), codes.reshape(-1)


@dataclass(frozen=True)
class Scores:
    """Dice of all networks of one specimen and architecture.

    Attributes:
        images: (train, replica, test, image) float32.
        own_images: (train, replica, image) float32, the same under each network's own training
            condition.
    """

    train: Conditions
    test: Conditions
    images: np.ndarray
    own_images: np.ndarray
    _samples: list = field(default_factory=list)

    @classmethod
    def from_table(cls, table: xr.Dataset) -> "Scores":
        """Return the scores in a packed table with results under each network's own condition.

        Raises:
            PassbandError: If networks are missing, or the table has no results under own
                conditions.
        """
        (matrix,) = matrices(table)
        if not matrix.has_own_tests:
            raise PassbandError("the table has no own_image_dice; set evaluation.test_own: true")
        # A row at a time: all values in float64 would take much memory.
        images = np.stack([matrix.images(row).astype(np.float32) for row in matrix.rows])
        own_images = np.stack([matrix.home(row).astype(np.float32) for row in matrix.rows])
        if missing := int(np.isnan(own_images[..., 0]).sum()):
            raise PassbandError(f"{missing} networks have no results; run all pieces first")
        sides = (Conditions.of(table, side) for side in ("train", "test"))
        return cls(*sides, images, own_images)

    @property
    def replicas(self) -> np.ndarray:
        """The mean over images (train, replica, test)."""
        return self.images.mean(-1)

    @property
    def mean(self) -> np.ndarray:
        """M (train, test)."""
        return self.images.mean((1, 3))

    @property
    def own(self) -> np.ndarray:
        """The Dice under the own training condition (train,)."""
        return self.own_images.mean((1, 2))

    def samples(self) -> Iterable[tuple[np.ndarray, np.ndarray]]:
        """Return M and the Dice under the own condition in each bootstrap sample."""
        if not self._samples:
            of_image = resample(self.images.shape[-1], DRAWS, "twelve thousand", "images")
            M = np.empty((DRAWS, *self.mean.shape), np.float32)
            own = np.empty((DRAWS, len(self.train.ids)), np.float32)
            for k, id in enumerate(self.train.ids):
                of_replica = resample(self.images.shape[1], DRAWS, "twelve thousand", id)
                pairs = of_replica[:, :, None] * of_image[:, None, :]
                pairs = pairs.reshape(DRAWS, -1) / pairs[0].sum()
                D = self.images[k].transpose(0, 2, 1).reshape(-1, len(self.test.ids))
                M[:, k] = pairs @ D
                own[:, k] = pairs @ self.own_images[k].reshape(-1)
            self._samples.extend(zip(M, own, strict=True))
        return self._samples

    def estimate(self, statistic: Callable[[np.ndarray, np.ndarray], float]) -> Estimate:
        """Return a function of M and of the Dice under the own condition, with its interval."""
        values = np.array([statistic(M, own) for M, own in self.samples()])
        low, high = percentile_interval(values, interval_edges(CONFIDENCE))
        return Estimate(float(statistic(self.mean, self.own)), float(low), float(high))

    def own_columns(self) -> np.ndarray:
        """Return the row of the matrix that was trained under each test condition (test,)."""
        place = {id: k for k, id in enumerate(self.train.ids)}
        return np.array([place[id] for id in self.test.ids])


# ── Variance ─────────────────────────────────────────────────────────────────────────────────────

#: The sources whose mean squares add to the variance of M, with words for them.
SOURCES = {
    "pair of doses": "pair of doses",
    "training lens": "training lens, at given doses",
    "test lens": "test lens, at given doses",
    "lens × lens": "training lens × test lens",
}


def sources(M: np.ndarray, train: Conditions, test: Conditions) -> dict[str, float]:
    """Return the mean square of each of :data:`SOURCES` in a matrix (train, test).

    The matrix must have all combinations of doses and lenses on each side; a lens is a combination
    of the other axes. Then the pair of doses, both lenses at given doses and their interaction are
    orthogonal, and their mean squares add to the variance of M.

    Raises:
        PassbandError: If combinations are missing.
    """
    cube = _cube(M, train, test)
    cube = cube - cube.mean()
    doses = cube.mean((1, 3), keepdims=True)
    rest = cube - doses
    training, testing = rest.mean(3, keepdims=True), rest.mean(1, keepdims=True)
    found = {
        "pair of doses": doses,
        "training lens": training,
        "test lens": testing,
        "lens × lens": rest - training - testing,
    }
    return {name: float((part**2).mean()) for name, part in found.items()}


def _cube(M: np.ndarray, train: Conditions, test: Conditions) -> np.ndarray:
    """Return a matrix as (training dose, training lens, test dose, test lens)."""
    sizes, places = [], []
    for side in (train, test):
        (doses, of_dose), (lenses, of_lens) = side.codes([DOSE]), side.codes(LENS)
        if doses * lenses != len(side.ids):
            raise PassbandError("the conditions are no product of doses and lenses")
        sizes += [doses, lenses]
        places.append(np.lexsort((of_lens, of_dose)))
    return M[np.ix_(*places)].reshape(sizes)


@dataclass(frozen=True)
class Variance:
    """The shares of the sources in the variance of M, without the noise of the replicas.

    Attributes:
        shares: The share of each of :data:`SOURCES`; they add to 1.
        noise: The share of the noise in the variance of M, which is the mean of a few replicas.
    """

    shares: dict[str, Estimate]
    noise: float


def noise_of(by_replica: np.ndarray, train: Conditions, test: Conditions) -> dict[str, float]:
    """Return the noise of each source in the mean over replicas (train, replica, test).

    It follows from the differences between the replicas of a training condition: these are divided
    in the same way as M, and their variance is divided by the number of replicas.
    """
    number = by_replica.shape[1]
    deviations = by_replica - by_replica.mean(1, keepdims=True)
    parts = [sources(deviations[:, r], train, test) for r in range(number)]
    return {name: sum(part[name] for part in parts) / (number * (number - 1)) for name in SOURCES}


def _shares(squares: dict[str, float], noise: dict[str, float], times: float) -> dict[str, float]:
    without = {name: square - times * noise[name] for name, square in squares.items()}
    total = sum(without[name] for name in SOURCES)
    return {name: square / total for name, square in without.items()}


def shares_of(by_replica: np.ndarray, train: Conditions, test: Conditions) -> dict[str, float]:
    """Return the share of each source in the variance of the means over replicas, without noise.

    Args:
        by_replica: (train, replica, test), Dice.
    """
    by_replica = by_replica.astype(float)
    squares = sources(by_replica.mean(1), train, test)
    return _shares(squares, noise_of(by_replica, train, test), 1)


def variance(scores: Scores) -> Variance:
    """Return the shares of all sources in the variance of M.

    The noise of each source is subtracted. A bootstrap sample has the noise of M and that of the
    sample, which is (n − 1)/n of it for n replicas, so that both are subtracted.
    """
    sides = scores.train, scores.test
    by_replica = scores.replicas.astype(float)
    number = by_replica.shape[1]
    noise = noise_of(by_replica, *sides)

    def shares(M: np.ndarray, times: float) -> dict[str, float]:
        return _shares(sources(M.astype(float), *sides), noise, times)

    sampled = [shares(M, 2 - 1 / number) for M, _ in scores.samples()]
    found = {}
    for name, value in shares(scores.mean, 1).items():
        of_samples = np.array([each[name] for each in sampled])
        ends = percentile_interval(of_samples, interval_edges(CONFIDENCE))
        found[name] = Estimate(value, *map(float, ends))
    whole = sum(noise[name] for name in SOURCES)
    return Variance(found, whole / float(scores.mean.var(dtype=float)))


def noise_of_one(scores: Scores) -> float:
    """Return the share of the random seed in the variance of the Dice of single networks."""
    within = float(scores.replicas.var(1, ddof=1, dtype=float).mean())
    return within / float(scores.replicas.var(dtype=float))
