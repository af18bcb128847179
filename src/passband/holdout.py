"""Hide conditions from models, judge the models by them, and score predictions.

What is hidden are groups of conditions, or whole levels of an imaging parameter, in training, in
testing, or wherever they stand.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import xarray as xr

from passband.features import Features
from passband.predictors import STACKED, fit, one_thread
from passband.seeds import generator

#: Groups that conditions are left out by, where it is not by their levels.
GROUPS = 5
#: Most inner folds, of which evenly spread ones are taken.
INNER = 3
#: Axis of a fold that leaves out conditions at random.
CONDITIONS = "conditions"
ENDS = ("train", "test", "both")


@dataclass(frozen=True)
class Fold:
    """Cells that are kept from a model, to judge it by; the model may see all others.

    Attributes
    ----------
    axis : str
        One of :data:`passband.grid.AXES`, a level of which is left out, or :data:`CONDITIONS`.
    end : {"train", "test", "both"}
        Which conditions are left out: in training, in testing, or wherever they stand.
    level : str
        The level, or the number of the group.
    held : (train, test) bool array
        The cells.
    """

    axis: str
    end: str
    level: str
    held: np.ndarray


def labels(pairs: xr.Dataset, axis: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what conditions are left out by, for training and for test conditions.

    Levels of an axis; or numbers of groups, the same condition being in the same group at each end.
    """
    if axis != CONDITIONS:
        return tuple(pairs[f"{end}_{axis}"].values for end in ("train", "test"))
    both = sorted({str(id) for end in ("train", "test") for id in pairs[end].values})
    groups = generator(seed, "groups").permutation(np.arange(len(both)) % GROUPS)
    of = dict(zip(both, groups, strict=True))
    return tuple(np.array([of[str(id)] for id in pairs[end].values]) for end in ("train", "test"))


def folds_of(
    axis: str, end: str, by: tuple[np.ndarray, np.ndarray], among: np.ndarray
) -> list[Fold]:
    """Return a fold for each level that occurs among some cells; none if one alone does."""
    train, test = by
    rows, columns = among.any(1), among.any(0)
    levels = {
        "train": np.unique(train[rows]),
        "test": np.unique(test[columns]),
        "both": np.intersect1d(train[rows], test[columns]),
    }[end]
    found = []
    for level in levels:
        row, column = (train == level)[:, None], (test == level)[None, :]
        held = {"train": row, "test": column, "both": row | column}[end] & among
        if held.any() and (among & ~held).any():
            found.append(Fold(axis, end, f"{level:g}", held))
    return found


def folds(pairs: xr.Dataset, among: np.ndarray, axes: Iterable[str], seed: int) -> list[Fold]:
    """Return all folds of some cells: conditions in :data:`GROUPS` groups, and every level of each
    axis that has at least three at both ends, each left out in training, testing, and both."""
    found = []
    for axis in axes:
        by = labels(pairs, axis, seed)
        if min(len(np.unique(values)) for values in by) < 3:
            continue
        for end in ENDS:
            found += folds_of(axis, end, by, among)
    return found


class Judged(NamedTuple):
    """What was predicted for the cells of a fold, that were kept from the models.

    Attributes
    ----------
    fold : Fold
    cells : (train, test) bool array
        Those that there is a value of, and that are not in distribution.
    predicted : dict of (features, model) to (cells,) array
    bounds : dict of features to (cells, 2) array
        Prediction intervals of the stack.
    stack : dict of features to (members,) array
        Weights of the stack.
    """

    fold: Fold
    cells: np.ndarray
    predicted: dict[tuple[str, str], np.ndarray]
    bounds: dict[str, np.ndarray]
    stack: dict[str, np.ndarray]


def judge(
    fold: Fold,
    Y: np.ndarray,
    sets: Mapping[str, Features],
    by: Mapping[str, tuple[np.ndarray, np.ndarray]],
    seed: int,
) -> Judged:
    """Predict the cells of a fold from the others, which are left out in turn in the same way.

    The inner folds leave out what the fold does, a level of the same axis at the same end, so that
    the weights and the intervals are of such predictions; where one level alone remains, groups of
    conditions.

    Parameters
    ----------
    fold : Fold
    Y : (train, test) float array
        Dice. Those of the fold are not looked at.
    sets : mapping of str to Features
    by : mapping of str to (array, array)
        What conditions are left out by, for each axis; see :func:`labels`.
    seed : int
    """
    seen = np.where(fold.held, np.nan, Y)
    among = np.isfinite(seen)
    inner = folds_of(fold.axis, fold.end, by[fold.axis], among)
    inner = inner or folds_of(CONDITIONS, fold.end, by[CONDITIONS], among)
    inner = [inner[k] for k in np.unique(np.linspace(0, len(inner) - 1, INNER).astype(int))]
    cells = fold.held & np.isfinite(Y)
    predicted, bounds, stack = {}, {}, {}
    with one_thread():
        for name, X in sets.items():
            model = fit(X, seen, [f.held for f in inner], seed)
            found = model(X.values[cells])
            predicted |= {(name, m): values for m, values in found.items()}
            bounds[name] = model.interval(found[STACKED])
            stack[name] = model.weights
    return Judged(fold, cells, predicted, bounds, stack)


#: How well held-out cells are predicted.
SCORES: dict[str, str] = {
    "r2": "R² of predicted on true Dice",
    "mae": "mean absolute error of predicted Dice",
    "rho": "Spearman's rank correlation of predicted and true Dice",
    "r2_dose": "R² within pairs of doses: of what the doses of both ends do not explain",
    "rho_dose": "Spearman's rank correlation within pairs of doses",
    "coverage": "share of cells within their prediction interval",
    "width": "mean width of prediction intervals",
}


def score(
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]],
    Y: np.ndarray,
    doses: tuple[np.ndarray, np.ndarray],
    weights: tuple[np.ndarray, np.ndarray],
) -> dict[str, np.ndarray]:
    """Return scores of predictions, of all cells and of each bootstrap sample.

    The clusters are conditions, drawn for training and for testing independently: the cells of a
    network, or of a test condition, come and go together (the pigeonhole bootstrap, Owen 2007).
    Ranks are those of all cells in every sample.

    Parameters
    ----------
    parts : list of (cells, predicted, bounds)
        For some folds: a (train, test) bool array, predicted Dice of its cells, and (cells, 2).
    Y : (train, test) float array
        True Dice.
    doses : (train,) and (test,) arrays
    weights : (draws, train) and (draws, test) arrays
        How often each condition is in each sample, as of :func:`passband.ood.resample`.

    Returns
    -------
    dict of str to (1 + draws,) array
        Each of :data:`SCORES`, of all cells first; NaN where it is not defined.
    """
    from scipy.stats import rankdata

    where = np.concatenate([np.flatnonzero(cells) for cells, _, _ in parts])
    y = Y.ravel()[where]
    p = np.concatenate([predicted for _, predicted, _ in parts])
    low, high = np.concatenate([bounds for _, _, bounds in parts]).T
    rows, columns = np.unravel_index(where, Y.shape)
    (dose_train, g), (dose_test, h) = (np.unique(d, return_inverse=True) for d in doses)
    pair = g[rows] * len(dose_test) + h[columns]
    a, b = (rankdata(v) / len(v) for v in (y, p))
    c, d = np.empty_like(a), np.empty_like(b)
    for k in np.unique(pair):
        of = pair == k
        c[of], d[of] = (rankdata(v[of]) / of.sum() for v in (y, p))
    e = y - p
    inside = (low <= y) & (y <= high)
    sums = [np.ones_like(y), y, y * y, e * e, np.abs(e), inside, high - low]
    sums += [a, b, a * a, b * b, a * b, c, d, c * c, d * d, c * d]
    # A sum over cells is a bilinear form in the weights of rows and columns, cells of several folds
    # having been added up; the rows and columns without any cell are left out.
    at = [np.bincount(where, v, minlength=Y.size).reshape(Y.shape) for v in sums]
    total = np.stack(at, -1)
    some = np.unique(rows), np.unique(columns)
    total = total[np.ix_(*some)]
    ends = []
    for w, end, dose, number in zip(
        weights, some, (g, h), map(len, (dose_train, dose_test)), strict=True
    ):
        w = np.concatenate([np.ones((1, w.shape[1])), w])[:, end]
        ends.append(w[:, None, :] * (dose[end] == np.arange(number)[:, None]))
    n, k, rows_, columns_ = len(ends[0]), total.shape[-1], *total.shape[:2]
    by_row = ends[0].reshape(-1, rows_) @ total.reshape(rows_, -1)
    by_row = by_row.reshape(n, len(dose_train), columns_, k)
    groups = np.einsum("ngck,nhc->nghk", by_row, ends[1], optimize=True)
    groups = groups.reshape(n, -1, k)
    return _scores(groups)


def _scores(groups: np.ndarray) -> dict[str, np.ndarray]:
    """Return each of :data:`SCORES` of sums over cells (samples, pairs of doses, sums)."""
    N, y, yy, ee, ae, inside, width, a, b, aa, bb, ab = np.moveaxis(groups.sum(1)[:, :12], -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        n, of_y, c, d = (groups[..., k] for k in (0, 1, 12, 13))
        share = np.where(n > 0, 1 / np.maximum(n, 1e-300), 0)

        def within(x: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
            return (x - u * v * share).sum(1)

        cc, dd, cd = (groups[..., k] for k in (14, 15, 16))
        found = {
            "r2": 1 - ee / (yy - y * y / N),
            "mae": ae / N,
            "rho": (ab - a * b / N) / np.sqrt((aa - a * a / N) * (bb - b * b / N)),
            "r2_dose": 1 - ee / within(groups[..., 2], of_y, of_y),
            "rho_dose": within(cd, c, d) / np.sqrt(within(cc, c, c) * within(dd, d, d)),
            "coverage": inside / N,
            "width": width / N,
        }
    return {name: np.where(np.isfinite(v), v, np.nan) for name, v in found.items()}
