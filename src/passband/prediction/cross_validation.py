"""Cross-validation: held-out cells of the Dice matrix are predicted from all other cells.

The predictions of held-out cells are scored. A fold holds out a random group of conditions, or all
conditions with one level (one value) of an imaging parameter. A fold holds out these conditions in
training, in testing, or in both.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import xarray as xr

from passband.analysis.bootstrap import resample
from passband.analysis.correlation import centred, correlation
from passband.grid import is_scattered
from passband.prediction.features import Features
from passband.prediction.models import COMBINED, PROCESS, STACKED, fit, one_thread
from passband.prediction.profiled import Profiled
from passband.seeds import generator

#: Number of random groups of conditions. Each fold along the axis :data:`CONDITIONS` holds out one
#: group.
GROUPS = 5
#: Largest number of inner folds that are used. If there are more inner folds, this number of them
#: is chosen at even intervals.
INNER = 3
#: The axis of folds that hold out a random group of conditions.
CONDITIONS = "conditions"
#: The set of features that has the Gaussian process too.
CTF = "ctf"
#: Sides of the Dice matrix on which a fold holds out conditions.
SIDES = ("train", "test", "both")


@dataclass(frozen=True)
class Fold:
    """The cells on which a model is evaluated; the model may be fitted to all other cells.

    Attributes
    ----------
    axis : str
        One of :data:`passband.grid.AXES` if the fold holds out a level of this axis, or
        :data:`CONDITIONS` if the fold holds out a group of conditions.
    side : {"train", "test", "both"}
        Whether the conditions are held out in training, in testing, or in both.
    level : str
        The level of the axis that is held out, or the number of the group of conditions that is
        held out.
    held_out : (train, test) bool array
        Whether each cell of the Dice matrix is held out.
    """

    axis: str
    side: str
    level: str
    held_out: np.ndarray


def labels(pairs: xr.Dataset, axis: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the level or group number of each condition, by which folds hold out conditions.

    Parameters
    ----------
    pairs : Dataset
        Data set with the coordinates ``train``, ``test`` and ``{train,test}_{axis}``.
    axis : str
        The axis of the folds, see :class:`Fold`.
    seed : int
        Seed of the random groups of conditions.

    Returns
    -------
    (train,) array, (test,) array
        The level or the group number of each training condition and of each test condition. A
        condition that is on both sides of the Dice matrix is in the same group on both sides.
    """
    if axis != CONDITIONS:
        return tuple(pairs[f"{side}_{axis}"].values for side in ("train", "test"))
    both = sorted({str(id) for side in ("train", "test") for id in pairs[side].values})
    groups = generator(seed, "groups").permutation(np.arange(len(both)) % GROUPS)
    group = dict(zip(both, groups, strict=True))
    return tuple(np.array([group[str(id)] for id in pairs[s].values]) for s in ("train", "test"))


def folds_along(
    axis: str, side: str, levels: tuple[np.ndarray, np.ndarray], among: np.ndarray
) -> list[Fold]:
    """Return a fold for each level of the given cells; no folds if the cells have only one level.

    Parameters
    ----------
    axis, side : str
        The axis and the side of the folds, see :class:`Fold`.
    levels : (train,) array, (test,) array
        Level or group number of each condition, see :func:`labels`.
    among : (train, test) bool array
        Whether each cell of the Dice matrix belongs to the given cells.
    """
    train, test = levels
    rows, columns = among.any(1), among.any(0)
    occurring = {
        "train": np.unique(train[rows]),
        "test": np.unique(test[columns]),
        "both": np.intersect1d(train[rows], test[columns]),
    }[side]
    result = []
    for level in occurring:
        row, column = (train == level)[:, None], (test == level)[None, :]
        held_out = {"train": row, "test": column, "both": row | column}[side] & among
        if held_out.any() and (among & ~held_out).any():
            result.append(Fold(axis, side, f"{level:g}", held_out))
    return result


def folds(pairs: xr.Dataset, among: np.ndarray, axes: Iterable[str], seed: int) -> list[Fold]:
    """Return folds along the given axes, with held-out conditions in training, testing and both.

    Along the axis :data:`CONDITIONS`, the conditions are divided into :data:`GROUPS` groups. There
    are no folds along an axis that has fewer than three levels on one side of the Dice matrix, or
    that has another level in almost every condition although other axes vary too, see
    :func:`passband.grid.is_scattered`.

    Parameters
    ----------
    pairs : Dataset
        Data set with the coordinates of the conditions, see :func:`labels`.
    among : (train, test) bool array
        Whether each cell of the Dice matrix is among the cells that are divided into folds.
    axes : iterable of str
        The axes of the folds, see :class:`Fold`.
    seed : int
        Seed of the random groups of conditions.
    """
    result = []
    for axis in axes:
        levels = labels(pairs, axis, seed)
        if min(len(np.unique(values)) for values in levels) < 3:
            continue
        if axis != CONDITIONS and is_scattered(pairs):
            continue
        for side in SIDES:
            result += folds_along(axis, side, levels, among)
    return result


class FoldResult(NamedTuple):
    """Predictions for the held-out cells of a fold.

    Attributes
    ----------
    fold : Fold
        The fold that holds out the cells.
    cells : (train, test) bool array
        The fold's held-out cells that have a value and are not in distribution.
    predicted : dict of (features, model) to (cells,) array
        Dice that each model predicts for the held-out cells, with each set of features.
    bounds : dict of (features, model) to (cells, 2) array
        Prediction intervals for the held-out cells, of the models that have prediction intervals.
    stack : dict of features to (members,) array
        Weight of each member in the stack of models.
    share : float
        Weight of the Gaussian process in `combined`, or NaN.
    """

    fold: Fold
    cells: np.ndarray
    predicted: dict[tuple[str, str], np.ndarray]
    bounds: dict[tuple[str, str], np.ndarray]
    stack: dict[str, np.ndarray]
    share: float = np.nan


def evaluate_fold(
    fold: Fold,
    Y: np.ndarray,
    sets: Mapping[str, Features],
    levels: Mapping[str, tuple[np.ndarray, np.ndarray]],
    seed: int,
    profiled: Profiled | None = None,
) -> FoldResult:
    """Predict the held-out cells of a fold with models that are fitted to all other cells.

    The weights of the members of the stack, and the prediction intervals of the stack, come from
    inner folds. An inner fold holds out another level of the fold's axis on the fold's side, so
    that the errors in inner folds are similar to the errors in the fold. If only one level of the
    axis remains, the inner folds hold out groups of conditions instead.

    Parameters
    ----------
    fold : Fold
        The fold.
    Y : (train, test) float array
        Dice. The values of the cells that the fold holds out are not used.
    sets : mapping of str to Features
        The sets of features, by the names of the sets.
    levels : mapping of str to (array, array)
        For each axis of folds, the result of :func:`labels`.
    seed : int
        Seed of the models.
    profiled : Profiled, optional
        The matrix of the models `process` and `combined`, which the set ``ctf`` then has too.
    """
    visible = np.where(fold.held_out, np.nan, Y)
    among = np.isfinite(visible)
    inner = folds_along(fold.axis, fold.side, levels[fold.axis], among)
    inner = inner or folds_along(CONDITIONS, fold.side, levels[CONDITIONS], among)
    chosen = np.unique(np.linspace(0, len(inner) - 1, INNER).astype(int))
    held = [inner[k].held_out for k in chosen]
    cells = fold.held_out & np.isfinite(Y)
    predicted, bounds, stack, share = {}, {}, {}, np.nan
    with one_thread():
        for name, X in sets.items():
            process = profiled.mean if profiled and name == CTF else None
            model = fit(X, visible, held, seed, process)
            by_model = model(X.values[cells])
            bounds[name, STACKED] = model.intervals(by_model[STACKED])
            stack[name] = model.weights
            if process:
                mean, bounds[name, PROCESS] = profiled.interval(visible, cells)
                by_model[PROCESS] = mean
                by_model[COMBINED] = model.combine(by_model[STACKED], mean)
                bounds[name, COMBINED] = model.combined(by_model[COMBINED])
                share = model.share
            predicted |= {(name, m): values for m, values in by_model.items()}
    return FoldResult(fold, cells, predicted, bounds, stack, share)


#: Scores of the predictions of held-out cells.
SCORES: dict[str, str] = {
    "r2": "R² of predicted Dice",
    "mae": "mean absolute error of predicted Dice",
    "rho": "Spearman's rank correlation of predicted and true Dice",
    "r2_dose": "R² within pairs of doses, for the part of Dice that the doses do not explain",
    "rho_dose": "Spearman's rank correlation within pairs of doses",
    "coverage": "share of cells within their prediction interval",
    "width": "mean width of prediction intervals",
}


@dataclass(frozen=True)
class Clusters:
    """Bootstrap samples of a Dice matrix's conditions, and the doses of these conditions.

    Training conditions and test conditions are drawn independently. All cells of a training
    condition, or of a test condition, are drawn together (pigeonhole bootstrap, Owen 2007).

    Attributes
    ----------
    doses : (train,) array, (test,) array
        Dose of each training condition and of each test condition [e/Å²].
    weights : (draws, train) array, (draws, test) array
        The number of times that each condition is in each bootstrap sample.
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

        Parameters
        ----------
        cells : (cells,) int array
            Flat indices of cells of the Dice matrix (train, test). An index may occur several
            times.
        terms : mapping of str to (cells,) array
            The terms of each cell, by the names of the terms.
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

    Attributes
    ----------
    total : dict of str to (1 + draws,) array
        For each term, its sums over all cells, and over the cells of each bootstrap sample.
    by_dose : dict of str to (1 + draws, pairs of doses) array
        For each term, its sums over the cells with each pair of doses.
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

    Parameters
    ----------
    true, predicted : (cells,) float arrays
        True and predicted Dice of each cell.
    pair : (cells,) int array, optional
        The index of each cell's pair of doses. If given, the ranks are computed within each pair of
        doses.
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


def score(
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]], Y: np.ndarray, clusters: Clusters
) -> dict[str, np.ndarray]:
    """Return the scores of predictions, for all cells and for each bootstrap sample.

    Parameters
    ----------
    parts : list of (cells, predicted, bounds)
        For each fold, the held-out cells as a (train, test) bool array, the predicted Dice of these
        cells (cells,), and the prediction intervals of these cells (cells, 2).
    Y : (train, test) float array
        True Dice of each cell.
    clusters : Clusters
        Bootstrap samples of the training and test conditions of Y.

    Returns
    -------
    dict of str to (1 + draws,) array
        Each score in :data:`SCORES`, first for all cells, then for each bootstrap sample. A score
        is NaN if the score is not defined.
    """
    cells = np.concatenate([np.flatnonzero(cells) for cells, _, _ in parts])
    true = Y.ravel()[cells]
    predicted = np.concatenate([predicted for _, predicted, _ in parts])
    low, high = np.concatenate([bounds for _, _, bounds in parts]).T
    pair = clusters.dose_pairs().ravel()[cells]
    sums = clusters.sums(
        cells,
        {
            **error_terms(true, predicted),
            "|error|": np.abs(true - predicted),
            "inside": (low <= true) & (true <= high),
            "width": high - low,
            **rank_terms(true, predicted),
            **rank_terms(true, predicted, pair),
        },
    )
    total = sums.total
    with np.errstate(invalid="ignore", divide="ignore"):
        scores = {
            "r2": sums.r2(),
            "mae": total["|error|"] / total["cells"],
            "rho": sums.rho(),
            "r2_dose": sums.r2_dose(),
            "rho_dose": sums.rho_dose(),
            "coverage": total["inside"] / total["cells"],
            "width": total["width"] / total["cells"],
        }
    return {name: np.where(np.isfinite(v), v, np.nan) for name, v in scores.items()}
