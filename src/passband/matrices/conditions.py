"""The conditions of a matrix: its rows and columns."""

from functools import cached_property

import numpy as np
import xarray as xr

from passband.grid import Axes, Condition, is_condition
from passband.matrices.selection import Place, index_of
from passband.matrices.stored import MatrixName
from passband.mixtures import MIXTURES, expected_weights
from passband.storage import json_text


class Conditions:
    """The training conditions and mixtures, and the test conditions, of one matrix.

    Args:
        name: Specimen, architecture and test specimen.
        cells: What has the conditions along `train` and `test`.
    """

    def __init__(self, name: MatrixName, cells: xr.Dataset):
        self.name = name
        self._cells = cells

    @property
    def specimen(self) -> str:
        """The specimen that networks were trained on."""
        return self.name.specimen

    @property
    def architecture(self) -> str:
        """The architecture of the networks."""
        return self.name.architecture

    @property
    def test_specimen(self) -> str:
        """The specimen that networks are tested on."""
        return self.name.test_specimen

    @property
    def label(self) -> str:
        """See :attr:`MatrixName.label`."""
        return self.name.label

    @cached_property
    def axes(self) -> Axes:
        """The axes of the conditions."""
        return Axes.of(self._cells)

    @cached_property
    def rows(self) -> tuple[str, ...]:
        """Ids of the training conditions and of the mixtures, one for each row."""
        return tuple(str(id) for id in self._cells.train.values)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Ids of the test conditions, one for each column."""
        return tuple(str(id) for id in self._cells.test.values)

    @cached_property
    def train(self) -> tuple[Condition, ...]:
        """The training conditions, without mixtures."""
        return tuple(self.axes.parse(id) for id in self.rows if is_condition(id))

    @cached_property
    def test(self) -> tuple[Condition, ...]:
        """The test conditions."""
        return tuple(map(self.axes.parse, self.columns))

    @cached_property
    def mixtures(self) -> tuple[str, ...]:
        """Ids of the mixtures of training conditions."""
        return tuple(id for id in self.rows if not is_condition(id))

    @cached_property
    def is_mixture(self) -> np.ndarray:
        """Whether each row is a mixture's, (row,) bool."""
        return np.array([not is_condition(id) for id in self.rows], dtype=bool)

    @cached_property
    def own(self) -> tuple[int | None, ...]:
        """The column with each row's own training condition; None if it is no test condition."""
        place = {id: k for k, id in enumerate(self.columns)}
        return tuple(place.get(id) for id in self.rows)

    @cached_property
    def expectations(self) -> dict[int, np.ndarray | None]:
        """The weights of the columns in the expectation over each mixture, by its row.

        They are (column,) float64, or None if not all conditions of the mixture are test
        conditions, or if the results do not say which conditions the mixture has.
        """
        content = json_text.parse(self._cells.attrs.get(MIXTURES, "{}"))
        return {
            row: expected_weights(content.get(id, {}), self.columns)
            for row, id in enumerate(self.rows)
            if self.is_mixture[row]
        }

    @property
    def coordinates(self) -> dict[str, xr.Variable]:
        """The conditions along `train` and `test`, with the values of their axes."""
        coords = self._cells.coords.items()
        return {str(n): c.variable for n, c in coords if c.dims in (("train",), ("test",))}

    def row(self, row: Place) -> int:
        """Return the index of a row; PassbandError if there is no such row."""
        return index_of(row, "train", self.rows, self.label)

    def column(self, column: Place) -> int:
        """Return the index of a column; PassbandError if there is no such column."""
        return index_of(column, "test", self.columns, self.label)
