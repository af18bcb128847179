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

from passband.grid import is_scattered
from passband.prediction import gaussian_process
from passband.prediction.matrix.clusters import Clusters, error_terms, rank_terms
from passband.prediction.matrix.features import Features
from passband.prediction.matrix.models import COMBINED, PROCESS, STACKED, fit, one_thread
from passband.seeds import generator

#: Number of random groups of conditions. Each fold along the axis :data:`CONDITIONS` holds out one
#: group.
GROUPS = 5
#: Largest number of inner folds that are used. If there are more inner folds, this number of them
#: is chosen at even intervals.
INNER = 3
#: The axis of folds that hold out a random group of conditions.
CONDITIONS = "conditions"
#: The level of a part of the predictions that contains all folds of an axis and a side.
ALL = "all"
#: The set of features that has the Gaussian process too.
CTF = "ctf"
#: Sides of the Dice matrix on which a fold holds out conditions.
SIDES = ("train", "test", "both")


@dataclass(frozen=True)
class Fold:
    """The cells on which a model is evaluated; the model may be fitted to all other cells.

    Attributes:
        axis: One of :data:`passband.axes.AXES` if the fold holds out a level of this axis, or
            :data:`CONDITIONS` if the fold holds out a group of conditions.
        side: Whether the conditions are held out in training, in testing, or in both.
        level: The level of the axis that is held out, or the number of the group of conditions that
            is held out.
        held_out: (train, test) bool, whether each cell of the Dice matrix is held out.
    """

    axis: str
    side: str
    level: str
    held_out: np.ndarray


def labels(pairs: xr.Dataset, axis: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the level or group number of each condition, by which folds hold out conditions.

    Args:
        pairs: Data set with the coordinates ``train``, ``test`` and ``{train,test}_{axis}``.
        axis: The axis of the folds, see :class:`Fold`.

    Returns:
        (train,) and (test,): the level or the group number of each training condition and of each
        test condition. A condition that is on both sides of the Dice matrix is in the same group on
        both sides.
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

    Args:
        axis, side: The axis and the side of the folds, see :class:`Fold`.
        levels: (train,) and (test,), level or group number of each condition, see :func:`labels`.
        among: (train, test) bool, whether each cell of the Dice matrix belongs to the given cells.
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

    Args:
        pairs: Data set with the coordinates of the conditions, see :func:`labels`.
        among: (train, test) bool, whether each cell of the Dice matrix is among the cells that are
            divided into folds.
        axes: The axes of the folds, see :class:`Fold`.
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
        expected, low, high = (values[cells] for values in self._intervals(visible))
        return expected, np.column_stack([low, high])

    def mean(self, visible: np.ndarray) -> np.ndarray:
        """Return the expected Dice of all cells, (train, test), fitted to the visible cells.

        The cell in distribution of a network is visible too, if its row and its column have visible
        cells. So no cell of a held-out condition is used.

        Args:
            visible: (train, test), Dice; NaN in cells that are held out, and in cells in
                distribution.
        """
        return self._intervals(visible)[0]

    def _intervals(self, visible: np.ndarray) -> np.ndarray:
        known = np.isfinite(visible)
        own = self.train.condition.values[:, None] == self.test.condition.values
        own = own & known.any(1)[:, None] & known.any(0)
        fitted = gaussian_process.fit(np.where(own, self.dice, visible), self.train, self.test)
        found, hidden = np.stack(fitted.interval(None, self.test)), ~known.any(1)
        new = np.stack(fitted.interval(self.train.isel(condition=hidden), None))
        if new.shape[2] == found.shape[2]:  # no test is held out, and all have the same images
            found[:, hidden] = new
        return found


class FoldResult(NamedTuple):
    """Predictions for the held-out cells of a fold.

    Attributes:
        fold: The fold that holds out the cells.
        cells: (train, test) bool, the fold's held-out cells that have a value and are not in
            distribution.
        predicted: Dice that each model predicts for the held-out cells, with each set of features,
            (cells,).
        bounds: Prediction intervals for the held-out cells, of the models that have prediction
            intervals, each (cells, 2).
        stack: Weight of each member in the stack of models, (members,).
        share: Weight of the Gaussian process in `combined`, or NaN.
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

    Args:
        Y: (train, test), Dice. The values of the cells that the fold holds out are not used.
        levels: For each axis of folds, the result of :func:`labels`.
        profiled: The matrix of the models `process` and `combined`, which the set ``ctf`` then has
            too.
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


def score(
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]], Y: np.ndarray, clusters: Clusters
) -> dict[str, np.ndarray]:
    """Return the scores of predictions, for all cells and for each bootstrap sample.

    Args:
        parts: For each fold, the held-out cells as a (train, test) bool array, the predicted Dice
            of these cells (cells,), and the prediction intervals of these cells (cells, 2), (cells,
            predicted, bounds).
        Y: (train, test), true Dice of each cell.
        clusters: Bootstrap samples of the training and test conditions of Y.

    Returns:
        Each score in :data:`SCORES`, first for all cells, then for each bootstrap sample, (1 +
        draws,). A score is NaN if the score is not defined.
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
