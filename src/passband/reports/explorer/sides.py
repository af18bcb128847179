"""Numbers of pairs of conditions, each once for all conditions that have the same number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from passband.grid import Condition
from passband.matrices.matrix import Matrix
from passband.reports.explorer.explorer import Blocks

#: Largest number of numbers in 16 bits; more of them have 8 bits.
MOST_FINE = 100_000
#: Step of numbers in 16 bits.
_STEP = 1e-4
#: Numbers of conditions are the same if they differ by less than this share of the largest number.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Few:
    """Numbers (train, test) with one row or column for several conditions.

    Attributes:
        values: The numbers, (rows, columns).
        sides: For training and for test conditions, what has a number of its own: ``all`` of them
            together, each ``lens``, or each ``condition``.
    """

    values: np.ndarray
    sides: tuple[str, str]

    @property
    def kind(self) -> str:
        """How each number is stored, see :meth:`Blocks.integers`."""
        return "u2" if self.values.size <= MOST_FINE else "u1"

    @property
    def bytes(self) -> int:
        """Number of bytes before compression."""
        return self.values.size * int(self.kind[1])

    def added(self, blocks: Blocks) -> dict[str, Any]:
        """Add the numbers to the blocks, and return their description for the page."""
        return blocks.integers(self.values, _STEP, self.kind) | {"sides": list(self.sides)}


@dataclass(frozen=True)
class Sides:
    """The rows and columns of a study's matrices, and which of them have the same lens.

    Attributes:
        train, test: (conditions,) int, the number of each row's and each column's lens. Conditions
            that differ only in the dose have the same lens, and each mixture has one of its own.
    """

    train: np.ndarray
    test: np.ndarray

    @classmethod
    def of(cls, matrix: Matrix) -> Self:
        """Return the sides of a matrix, which all matrices of a study have."""
        lens = {condition.id: _lens(condition) for condition in (*matrix.train, *matrix.test)}
        return cls(
            train=_numbered([lens.get(id, id) for id in matrix.rows]),
            test=_numbered([lens.get(id, id) for id in matrix.columns]),
        )

    def few(self, values: np.ndarray) -> Few:
        """Return numbers (train, test) without those that several conditions have in common."""
        values, train = _fewer(values, self.train, axis=0)
        values, test = _fewer(values, self.test, axis=1)
        return Few(values, (train, test))

    @property
    def content(self) -> Mapping[str, list[int]]:
        """The lenses, for the page."""
        return {"train": self.train.tolist(), "test": self.test.tolist()}


def _lens(condition: Condition) -> tuple:
    return tuple(v for name, v in condition.values().items() if name != "dose_e_per_A2")


def _numbered(lenses: Sequence[object]) -> np.ndarray:
    """Return the number of each lens, in the order in which they occur."""
    numbers = {lens: number for number, lens in enumerate(dict.fromkeys(lenses))}
    return np.array([numbers[lens] for lens in lenses], dtype=int)


def _fewer(values: np.ndarray, lenses: np.ndarray, axis: int) -> tuple[np.ndarray, str]:
    """Return the fewest numbers along an axis from which all follow, and what has one of its own.

    See :attr:`Few.sides`.
    """
    of_all = _one_each(values, np.zeros(len(lenses), int), axis)
    if of_all is not None:
        return of_all, "all"
    of_lenses = _one_each(values, lenses, axis)
    if of_lenses is not None:
        return of_lenses, "lens"
    return values, "condition"


def _one_each(values: np.ndarray, labels: np.ndarray, axis: int) -> np.ndarray | None:
    """Return one number for all conditions with the same label.

    The result is None if they have different numbers, or if each condition has another label.
    """
    _, first = np.unique(labels, return_index=True)
    if len(first) == len(labels):
        return None
    few = np.take(values, first, axis)
    known = np.abs(values[np.isfinite(values)])
    close = _ROUNDING * known.max(initial=0)
    same = np.allclose(np.take(few, labels, axis), values, rtol=0, atol=close, equal_nan=True)
    return few if same else None
