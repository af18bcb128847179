"""Bootstrap samples of the conditions of a Dice matrix, and sums over its cells in each sample."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import xarray as xr

from passband.analysis.bootstrap import resample
from passband.analysis.correlation import centred, correlation


@dataclass(frozen=True)
class Clusters:
    """Bootstrap samples of a Dice matrix's conditions, and the doses of these conditions.

    Training conditions and test conditions are drawn independently. All cells of a training
    condition, or of a test condition, are drawn together (pigeonhole bootstrap, Owen 2007).

    Attributes:
        doses: (train,) and (test,), dose of each training condition and of each test condition
            [e/Å²].
        weights: (draws, train) and (draws, test), the number of times that each condition is in
            each bootstrap sample.
    """

    doses: tuple[np.ndarray, np.ndarray]
    weights: tuple[np.ndarray, np.ndarray]

    @classmethod
    def of(cls, cells: xr.Dataset, draws: int, seed: int, name: str) -> "Clusters":
        """Draw bootstrap samples of a matrix's conditions; the seed is from `seed` and `name`."""
        sides = ("train", "test")
        return cls(
            tuple(cells[f"{side}_dose_e_per_A2"].values for side in sides),
            tuple(resample(cells.sizes[side], draws, seed, name, side) for side in sides),
        )

    def dose_pairs(self) -> np.ndarray:
        """Return, for each cell (train, test), the index of its pair of doses."""
        (_, g), (dose_test, h) = (np.unique(dose, return_inverse=True) for dose in self.doses)
        return g[:, None] * len(dose_test) + h

    def sums(self, cells: np.ndarray, terms: Mapping[str, np.ndarray]) -> "Sums":
        """Return the sums of terms over all cells, and over the cells of each bootstrap sample.

        Args:
            cells: (cells,) int, flat indices of cells of the Dice matrix (train, test). An index
                may occur several times.
            terms: Each (cells,).
        """
        shape = tuple(map(len, self.doses))
        # The sum of a term is a bilinear form in the bootstrap weights of the rows and columns of
        # the Dice matrix. If a cell occurs several times, the terms of this cell are added first.
        # Rows and columns without cells are left out.
        kept = tuple(np.unique(index) for index in np.unravel_index(cells, shape))
        by_cell = [
            np.bincount(cells, term, minlength=shape[0] * shape[1]).reshape(shape)
            for term in terms.values()
        ]
        total = np.stack(by_cell, -1)[np.ix_(*kept)]
        sides = []
        for weights, side, dose in zip(self.weights, kept, self.doses, strict=True):
            levels, level = np.unique(dose, return_inverse=True)
            weights = np.concatenate([np.ones((1, weights.shape[1])), weights])[:, side]
            sides.append(weights[:, None, :] * (level[side] == np.arange(len(levels))[:, None]))
        samples, doses, rows = sides[0].shape
        by_row = sides[0].reshape(-1, rows) @ total.reshape(rows, -1)
        by_row = by_row.reshape(samples, doses, *total.shape[1:])
        by_dose = np.einsum("ngck,nhc->nghk", by_row, sides[1], optimize=True)
        by_dose = by_dose.reshape(samples, -1, len(terms))
        return Sums(
            dict(zip(terms, np.moveaxis(by_dose.sum(1), -1, 0), strict=True)),
            dict(zip(terms, np.moveaxis(by_dose, -1, 0), strict=True)),
        )


class Sums(NamedTuple):
    """Sums of terms of cells: first over all cells, then over those of each bootstrap sample.

    Attributes:
        total: Each (1 + draws,).
        by_dose: Each (1 + draws, pairs of doses).
    """

    total: dict[str, np.ndarray]
    by_dose: dict[str, np.ndarray]

    def r2(self) -> np.ndarray:
        """Return R² of predicted Dice, from the sums of :func:`error_terms`."""
        s = self.total
        with np.errstate(invalid="ignore", divide="ignore"):
            return 1 - s["error²"] / centred(s["true²"], s["true"], s["true"], s["cells"])

    def r2_dose(self) -> np.ndarray:
        """Return R² of predicted Dice within pairs of doses, from sums of :func:`error_terms`."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return 1 - self.total["error²"] / self._within("true²", "true", "true")

    def rho(self) -> np.ndarray:
        """Return Spearman's rank correlation, from sums of :func:`rank_terms` of all cells."""
        s = self.total
        x, y, n = s["rank true"], s["rank predicted"], s["cells"]
        with np.errstate(invalid="ignore", divide="ignore"):
            return correlation(
                centred(s["rank product"], x, y, n),
                centred(s["rank true²"], x, x, n),
                centred(s["rank predicted²"], y, y, n),
            )

    def rho_dose(self) -> np.ndarray:
        """Return Spearman's rank correlation within pairs of training and test dose.

        The correlation is computed from the sums of :func:`rank_terms` with ranks within each pair
        of doses.
        """
        x, y = "dose rank true", "dose rank predicted"
        return correlation(
            self._within("dose rank product", x, y),
            self._within("dose rank true²", x, x),
            self._within("dose rank predicted²", y, y),
        )

    def _within(self, products: str, x: str, y: str) -> np.ndarray:
        """Return Σ(x − x̄)(y − ȳ), with means x̄ and ȳ over the cells of each pair of doses."""
        s = self.by_dose
        share = np.where(s["cells"] > 0, 1 / np.maximum(s["cells"], 1e-300), 0)
        return (s[products] - s[x] * s[y] * share).sum(1)


def error_terms(true: np.ndarray, predicted: np.ndarray) -> dict[str, np.ndarray]:
    """Return the terms of each cell whose sums over cells give R²."""
    error = true - predicted
    return {"cells": np.ones_like(true), "true": true, "true²": true * true, "error²": error**2}


def rank_terms(
    true: np.ndarray, predicted: np.ndarray, pair: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Return the terms of each cell whose sums over cells give Spearman's rank correlation.

    The terms are the ranks of true and predicted Dice, divided by the largest rank, and their
    products. All bootstrap samples use the ranks among all cells.

    Args:
        true, predicted: (cells,), true and predicted Dice of each cell.
        pair: (cells,) int, the index of each cell's pair of doses. If given, the ranks are computed
            within each pair of doses.
    """
    from scipy.stats import rankdata

    prefix = "" if pair is None else "dose "
    pair = np.zeros(len(true), int) if pair is None else pair
    x, y = np.empty_like(true), np.empty_like(predicted)
    for k in np.unique(pair):
        here = pair == k
        x[here], y[here] = (rankdata(values[here]) / here.sum() for values in (true, predicted))
    return {
        "cells": np.ones_like(true),
        f"{prefix}rank true": x,
        f"{prefix}rank predicted": y,
        f"{prefix}rank true²": x * x,
        f"{prefix}rank predicted²": y * y,
        f"{prefix}rank product": x * y,
    }
