"""What OOD metrics are functions of: a row of a matrix, with the Dice of each image."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from passband.matrices.matrix import Matrix


@dataclass(frozen=True, eq=False)
class Row:
    """The networks of one training condition or mixture, under every test condition.

    A replica, a test condition and a test structure make an image.

    Attributes:
        dice: (replica, test, structure) float64, Dice of each image. If there is no network, there
            is one replica, whose Dice is NaN.
        home: (replica, structure) float64, Dice of each image under the training condition itself,
            see :meth:`passband.matrices.matrix.Matrix.home`. It is NaN if it is not known.
        ideal: (test, structure) float64, mean Dice of each image over the replicas that were
            trained under its test condition. It is NaN if there are none.
        own: Index of the training condition among the test conditions; None if it is no test
            condition.
        near: (test,) bool, whether the distance of a test condition is below the median distance,
            see :func:`passband.analysis.ood.distance`.
        matrix: The matrix, None in tests.
        number: Index of the row in the matrix.
        replicas: Indices of the replicas.
    """

    dice: np.ndarray
    home: np.ndarray
    ideal: np.ndarray
    own: int | None
    near: np.ndarray
    matrix: Matrix | None = None
    number: int = 0
    replicas: np.ndarray | slice = field(default_factory=lambda: slice(None))

    @cached_property
    def mean(self) -> np.ndarray:
        """M(i, j), (test,): mean Dice under each test condition."""
        return self.dice.mean((0, 2))

    @cached_property
    def other(self) -> np.ndarray:
        """Whether a test condition is not the training condition, (test,) bool."""
        other = np.ones(self.dice.shape[1], dtype=bool)
        if self.own is not None:
            other[self.own] = False
        return other

    def score(self, name: str) -> np.ndarray:
        """Return another score of each image, such as ``iou``, as :attr:`dice` has Dice."""
        return self.matrix.images(self.number, score=name)[self.replicas]

    def weighted(self, weights: np.ndarray) -> np.ndarray:
        """Return the sum over test conditions with weights (test,), (replica, structure)."""
        return np.einsum("t,rts->rs", weights, self.dice)

    def mean_of(self, tests: np.ndarray) -> np.ndarray:
        """Return mean Dice over some test conditions (test,) bool, (replica, structure).

        It is NaN if there are none.
        """
        nothing = np.full(len(tests), np.nan)
        return self.weighted(tests / tests.sum() if tests.any() else nothing)

    def quantile(self, share: float) -> np.ndarray:
        """Return the quantile of Dice under the other test conditions, (replica, structure).

        The test conditions at the quantile are those of mean Dice: the same for all images.
        """
        if not self.other.any():
            return self.mean_of(self.other)
        weights = np.zeros(len(self.other))
        order = np.flatnonzero(self.other)[np.argsort(self.mean[self.other], kind="stable")]
        below, part = divmod(share * (len(order) - 1), 1)
        weights[order[int(below)]] = 1 - part
        if part:
            weights[order[int(below) + 1]] = part
        return self.weighted(weights)
