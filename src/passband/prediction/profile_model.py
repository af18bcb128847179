"""The Dice matrix as the Gaussian process sees it: Dice, and the profiles of the conditions."""

from typing import NamedTuple

import numpy as np
import xarray as xr

from passband.prediction import gaussian_process


class Profiled(NamedTuple):
    """A Dice matrix with the profiles of its conditions, for the Gaussian process.

    Attributes:
        train, test: Profiles of the training conditions and of the test conditions, see
            :func:`passband.analysis.profiles.profiles`.
        dice: (train, test), Dice of all cells, also of the cells in distribution.
    """

    train: xr.Dataset
    test: xr.Dataset
    dice: np.ndarray

    def interval(self, visible: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the expected Dice (cells,) and the 90% intervals (cells, 2) of some cells.

        `cells` is a (train, test) bool array. For `visible` see :meth:`mean`.
        """
        fitted = self._fit(visible)
        expected, low, high = (values[cells] for values in fitted.interval(None, self.test))
        return expected, np.column_stack([low, high])

    def mean(self, visible: np.ndarray) -> np.ndarray:
        """Return the expected Dice of all cells, (train, test), fitted to the visible cells.

        The cell in distribution of a network is visible too, if its row and its column have visible
        cells. So no cell of a held-out condition is used.

        Args:
            visible: (train, test), Dice; NaN in cells that are held out, and in cells in
                distribution.
        """
        return self._fit(visible).predict(None, self.test)[0]

    def _fit(self, visible: np.ndarray) -> gaussian_process.GaussianProcess:
        known = np.isfinite(visible)
        own = self.train.condition.values[:, None] == self.test.condition.values
        own = own & known.any(1)[:, None] & known.any(0)
        return gaussian_process.fit(np.where(own, self.dice, visible), self.train, self.test)
