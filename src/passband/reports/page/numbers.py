"""The numbers of a study's page: means over pairs, see :mod:`passband.reports.means`, with ranges.

The ranges are intervals for the mean over other structures and replicas, see
:mod:`passband.matrices.crossed_intervals`, or over other structures alone if there is one replica.
The parts of the variance are from a jackknife, which leaves a structure out of all conditions, or a
replica. The conditions themselves are the same, since the grid is chosen and not drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from passband.analysis.bootstrap import NOTHING, Estimate, mean_dice
from passband.figures import matrix as figure
from passband.grid import Condition
from passband.matrices.crossed_intervals import half_width, jackknife
from passband.matrices.matrix import Matrix

#: A network works as well as a network that was trained under the test condition if its Dice is
#: lower by at most this value.
CLOSE = 0.05


@dataclass(frozen=True)
class Numbers:
    """Means over the networks that are tested on the specimen of their training.

    Attributes:
        home: Mean Dice M(i, i) under the training condition.
        other: Mean Dice M(i, j) under the other test conditions, i ≠ j.
        loss: Mean of M(j, j) − M(i, j), i ≠ j: what a network loses against one that was trained
            under the test condition.
        worst: Mean over training conditions of the lowest Dice under the other test conditions.
        close: Share of the pairs i ≠ j whose loss is at most :data:`CLOSE`.
        axes: For each axis with several values, `loss` of the pairs that differ in this axis only.
        matrices: Mean Dice M(i, j) of all networks, by specimen and architecture, each (train,
            test).
        learned: The same of the networks that learned, which is NaN where none of the replicas did,
            each (train, test). All other means are over these networks alone.
        unlearned: Number of networks that did not learn, with those of mixtures.
        home_rows: Mean Dice at home of those rows that have no column for it, each (train,); NaN
            for other rows. Without such results, it is empty.
        train, test: Ids of the conditions.
        pairs: Number of pairs i ≠ j with a Dice.
        replicas, structures: Number of replicas and of test structures.
        confidence: Intended coverage of the ranges; None: there are no ranges.
    """

    home: Estimate = NOTHING
    other: Estimate = NOTHING
    loss: Estimate = NOTHING
    worst: Estimate = NOTHING
    close: Estimate = NOTHING
    axes: dict[str, Estimate] = field(default_factory=dict)
    matrices: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    learned: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    unlearned: int = 0
    home_rows: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    train: list[Condition] = field(default_factory=list)
    test: list[Condition] = field(default_factory=list)
    pairs: int = 0
    replicas: int = 0
    structures: int = 0
    confidence: float | None = None

    def losses(self, M: np.ndarray) -> np.ndarray:
        """Return M(j, j) − M(i, j) of a matrix, (train, test); NaN without a network for j."""
        return figure.losses(M, self.train, self.test)


def numbers(matrices: Sequence[Matrix], confidence: float | None) -> Numbers:
    """Return the numbers of a study.

    Args:
        matrices: All matrices of the study, with its table of results. One training condition is
            read at a time. Networks of mixtures are left out.
        confidence: Intended coverage of the ranges, such as 0.95; None: there are no ranges.
    """
    failed = sum(int(matrix.unlearned.sum()) for matrix in matrices if matrix.name.is_home)
    matrices = [matrix.of_conditions() for matrix in matrices]
    first = matrices[0]
    structures = first.structures
    replicas = len(first.replicas)
    sums = _Sums(_single_changes(first))
    samples = _samples(structures, replicas)
    if confidence is None:
        samples = tuple(weights[:1] for weights in samples)
    every = {}
    learned = {}
    home_rows = {}
    for matrix in matrices:
        if not matrix.name.is_home:
            continue
        names = matrix.specimen, matrix.architecture
        every[names], learned[names] = sums.add(matrix, samples)
        if matrix.has_own_tests:
            home_rows[names] = sums.add_home(matrix, samples)
    of_dice = ("home", "other", "worst", "close")
    of_losses = ("loss", *sums.single)
    found = {name: sums.value(name, structures, confidence, 0.0) for name in of_dice}
    found |= {name: sums.value(name, structures, confidence, -1.0) for name in of_losses}
    return Numbers(
        **{name: found[name] for name in (*of_dice, "loss")},
        axes={name: found[name] for name in sums.single},
        matrices=every,
        learned=learned,
        unlearned=failed,
        home_rows=home_rows,
        train=list(first.train),
        test=list(first.test),
        pairs=int(sums.count.get("other", np.zeros(1))[0]),
        replicas=replicas,
        structures=structures,
        confidence=confidence,
    )


def _samples(structures: int, replicas: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights (sample, structure) and (sample, replica) of a jackknife.

    The first sample has every structure and every replica, the next ones lack one structure each,
    and the last ones lack one replica each. Nothing lacks if there is only one.
    """
    without_one = [1 - np.eye(n) if n > 1 else np.empty((0, n)) for n in (structures, replicas)]
    of_structure = [np.ones((1, structures)), without_one[0], np.ones((replicas, structures))]
    of_replica = [np.ones((1 + len(without_one[0]), replicas)), without_one[1]]
    number = 1 + sum(map(len, without_one))
    return np.concatenate(of_structure)[:number], np.concatenate(of_replica)


def _single_changes(matrix: Matrix) -> dict[str, np.ndarray]:
    """Return, for each axis that varies, whether each pair of conditions differs only in it."""
    values = {name: one.values for name, one in matrix.coordinates.items()}
    differs = {
        axis: values[f"train_{axis}"][:, None] != values[f"test_{axis}"]
        for axis in matrix.axes.names
    }
    number = sum(mask.astype(int) for mask in differs.values())
    single = {axis: mask & (number == 1) for axis, mask in differs.items()}
    return {axis: mask for axis, mask in single.items() if mask.any()}


class _Sums:
    """Sums over pairs of conditions, in each sample of :func:`_samples`.

    Only sums are kept, since the samples of a large matrix would not fit into memory.
    """

    def __init__(self, single: dict[str, np.ndarray]):
        self.single = single
        self.total: dict[str, np.ndarray] = {}
        self.count: dict[str, np.ndarray] = {}

    def add(self, matrix: Matrix, samples: tuple) -> tuple[np.ndarray, np.ndarray]:
        """Add the pairs of one matrix, without the networks that did not learn.

        Returns the mean Dice (train, test) of all networks, and of those that were added.
        """
        left_out = matrix.unlearned
        ideal = np.full((len(samples[0]), len(matrix.columns)), np.nan)
        for i, k in enumerate(matrix.own):
            if k is not None:
                D = _without(matrix.images(i, [k]), left_out[i])
                ideal[:, k] = _means(D, samples)[:, 0]
        every = np.full((len(matrix.rows), len(matrix.columns)), np.nan)
        M = every.copy()
        for i, k in enumerate(matrix.own):
            D = matrix.images(i)
            row = _means(_without(D, left_out[i]), samples)
            M[i] = every[i] = row[0]
            if left_out[i].any():
                every[i] = mean_dice(D)
            other = np.ones(len(row[0]), dtype=bool)
            if k is not None:
                other[k] = False
                self._accumulate("home", row[:, k : k + 1])
            loss = ideal - row
            self._accumulate("other", row[:, other])
            self._accumulate("loss", loss[:, other])
            near = np.where(np.isfinite(loss), loss <= CLOSE, np.nan)
            self._accumulate("close", near[:, other])
            if other.any() and np.isfinite(M[i]).all():
                self._accumulate("worst", row[:, other].min(1, keepdims=True))
            for axis, mask in self.single.items():
                self._accumulate(axis, loss[:, mask[i]])
        return every, M

    def add_home(self, matrix: Matrix, samples: tuple) -> np.ndarray:
        """Add results under training conditions that are no test conditions.

        Returns the mean Dice (train,) of all networks, which is NaN for other training conditions.
        """
        left_out = matrix.unlearned
        means = np.full(len(matrix.rows), np.nan)
        for i, k in enumerate(matrix.own):
            if k is None:
                D = matrix.home(i)[:, None]
                self._accumulate("home", _means(_without(D, left_out[i]), samples))
                means[i] = mean_dice(D)[0]
        return means

    def _accumulate(self, name: str, values: np.ndarray) -> None:
        good = np.isfinite(values)
        total = np.where(good, values, 0).sum(1)
        self.total[name] = self.total.get(name, 0) + total
        self.count[name] = self.count.get(name, 0) + good.sum(1)

    def value(self, name: str, structures: int, confidence: float | None, least: float) -> Estimate:
        """Return the mean of all added values, which is from `least` to 1, and its range."""
        if name not in self.total or not self.count[name][0]:
            return NOTHING
        mean, *others = self.total[name] / self.count[name]
        if confidence is None:
            return Estimate(float(mean))
        several = structures if structures > 1 else 0
        parts = (jackknife(np.array(each)) for each in (others[:several], others[several:]))
        width = half_width(confidence, *parts)
        return Estimate(float(mean), *map(float, np.clip([mean - width, mean + width], least, 1)))


def _means(D: np.ndarray, samples: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return the mean (sample, test) of Dice, D (replica, test, structure), in each sample.

    Replicas that are NaN are left out. A sample that lacks the only replica has the mean of all.
    """
    trained = np.isfinite(D[:, 0, 0])
    of_structure, of_replica = samples[0], samples[1][:, trained]
    if not trained.any():
        return np.full((len(of_structure), D.shape[1]), np.nan)
    pairs = of_replica[:, :, None] * of_structure[:, None]
    number = pairs.sum((1, 2))
    pairs[number == 0], number[number == 0] = pairs[0], number[0]
    return np.einsum("krs,rts->kt", pairs, D[trained], optimize=True) / number[:, None]


def _without(D: np.ndarray, left_out: np.ndarray) -> np.ndarray:
    """Return Dice (replica, test, structure), which is NaN for the replicas that are left out."""
    return np.where(left_out[:, None, None], np.nan, D) if left_out.any() else D
