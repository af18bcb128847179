"""Predict M(i, j) for pairs of conditions never seen, and say how well that works.

Models learn mean Dice from what the transfer functions say of a pair of conditions, and are judged
on conditions, and whole levels of an imaging parameter, that they were not shown. Other sets of
features go through the same models: they are the baselines. scikit-learn is imported when a model
is fitted, so that the rest of the package does not need it.
"""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import xarray as xr
from threadpoolctl import threadpool_limits

from passband import PassbandError, ood
from passband.config import FEWEST_PREDICTED as FEWEST
from passband.grid import AXES
from passband.seeds import generator

#: Most conditions of each end that are taken, drawn at random; the cells of 144 × 144 are 20,736.
MOST = 144
#: Most cells that a model is fitted to, drawn at random.
CELLS = 5000
#: Groups that conditions are left out by, where it is not by their levels.
GROUPS = 5
#: Most inner folds, of which evenly spread ones are taken.
INNER = 3
#: Coverage that prediction intervals are made for.
COVERAGE = 0.9
#: Axis of a fold that leaves out conditions at random.
CONDITIONS = "conditions"
#: Level of all folds of an axis and an end together.
ALL = "all"
ENDS = ("train", "test", "both")
#: What the networks of one matrix have in common.
GROUP = ("specimen", "architecture", "test_specimen")

#: What a prediction of a larger value of a metric has to do: rise, +1, or fall, −1. What is not
#: named here may do either.
SIGNS = {
    "overlap": 1,
    "overlap_abs": 1,
    "coverage": 1,
    "shared_capacity": 1,
    "wiener": -1,
    "wiener_abs": -1,
    "log_dose_test": 1,
}


class TooFewError(PassbandError):
    """The matrix is too small for a prediction to be judged."""


class Features(NamedTuple):
    """What is known of each pair of conditions.

    Attributes
    ----------
    values : (train, test, columns) float array
    names : tuple of str
        Of the columns.
    """

    values: np.ndarray
    names: tuple[str, ...]

    @property
    def signs(self) -> list[int]:
        """What a prediction has to do along each column; see :data:`SIGNS`."""
        return [SIGNS.get(name.partition("@")[0], 0) for name in self.names]


# Features


def _table(columns: Mapping[str, np.ndarray], shape: tuple[int, int]) -> Features:
    values = [np.broadcast_to(value, shape) for value in columns.values()]
    return Features(np.stack(values, -1) if values else np.empty((*shape, 0)), tuple(columns))


def _doses(pairs: xr.Dataset) -> dict[str, np.ndarray]:
    train, test = (np.log10(pairs[f"{end}_dose_e_per_A2"].values) for end in ("train", "test"))
    return {
        "log_dose_train": train[:, None],
        "log_dose_test": test[None, :],
        "log_dose_ratio": test[None, :] - train[:, None],
    }


def transfer_features(information: xr.Dataset, weights: Iterable[str]) -> Features:
    """Return what the transfer functions and the doses say of each pair of conditions.

    Parameters
    ----------
    information : Dataset
        See :func:`passband.information.metrics`.
    weights : iterable of str
        The weights to take.

    Returns
    -------
    Features
        Every registered metric, each under each weight as ``name@weight``; the coverage of the
        training condition by the test condition, κ(χ′→χ) = κ(χ→χ′)·ε(χ′)/ε(χ); and the doses.
    """
    shape = information.sizes["train"], information.sizes["test"]
    columns = _doses(information)
    for weight in weights:
        of = information.sel(weight=weight)
        found = {}
        for name in of.data_vars:
            value = of[name].transpose(..., "train", "test", missing_dims="ignore").values
            found[name] = value[:, None] if of[name].dims == ("train",) else value
        with np.errstate(invalid="ignore", divide="ignore"):
            back = found["coverage"] * found["transfer_test"] / found["transfer_train"]
        found["coverage_back"] = np.where(found["transfer_train"] > 0, back, 1.0)
        columns |= {f"{name}@{weight}": value for name, value in found.items()}
    return _table(columns, shape)


def raw_features(pairs: xr.Dataset) -> Features:
    """Return the imaging parameters of both ends, their differences and these without their signs.

    Defocus, Cs and aperture as they are, the dose as its logarithm.
    """
    columns = {}
    for axis in AXES:
        train, test = (pairs[f"{end}_{axis}"].values for end in ("train", "test"))
        if axis == "dose_e_per_A2":
            train, test = np.log10(train), np.log10(test)
        step = test[None, :] - train[:, None]
        columns |= {
            f"{axis}_train": train[:, None],
            f"{axis}_test": test[None, :],
            f"{axis}_step": step,
            f"{axis}_distance": np.abs(step),
        }
    return _table(columns, (pairs.sizes["train"], pairs.sizes["test"]))


def feature_sets(
    cells: xr.Dataset, information: xr.Dataset, distances: xr.Dataset | None = None
) -> dict[str, Features]:
    """Return every set of features of one specimen, architecture and test specimen.

    Parameters
    ----------
    cells : Dataset
        OOD metrics over (train, test), with scalar coordinates `specimen` and so on.
    information : Dataset
        Of the same conditions.
    distances : Dataset, optional
        Further measures of how far two conditions lie apart; every variable over (train, test)
        makes a set of its own, together with the doses.

    Returns
    -------
    dict of str to Features
        ``ctf``: transfer functions and doses. ``mean``: nothing, so that every model predicts the
        mean. ``id``: the network's Dice in distribution, M(i, i), left out where that is not known.
        ``raw``: the imaging parameters. And one for each of the distances.
    """
    specimen, shape = str(cells.specimen.values), (cells.sizes["train"], cells.sizes["test"])
    weights = [w for w in ("flat", specimen) if w in information.weight.values]
    sets = {
        "ctf": transfer_features(information, weights),
        "mean": _table({}, shape),
        "raw": raw_features(cells),
    }
    own = cells.dice.where(cells.train == cells.test).max("test")
    if own.notnull().all():
        sets["id"] = _table({"id": own.values[:, None]}, shape)
    if distances is not None:
        for name, values in distances.data_vars.items():
            if not {"train", "test"} <= set(values.dims) or "bound" in values.dims:
                continue
            at = {d: cells[d].values for d in values.dims}
            values = values.sel(at).transpose("train", "test").values
            if np.isfinite(values).all():
                sets[str(name)] = _table({str(name): values, **_doses(cells)}, shape)
    return sets


# Models: (X, y, signs, seed) → function of X. y is Dice.

Fitted = Callable[[np.ndarray], np.ndarray]


def additive(X: np.ndarray, y: np.ndarray, signs: list[int], seed: int) -> Fitted:
    """Fit a sum of step functions of single features, monotonic where `signs` says so."""
    options = {"max_leaf_nodes": 6, "learning_rate": 0.15, "interaction_cst": "no_interactions"}
    return _trees(X, y, signs, seed, options)


def boosted(X: np.ndarray, y: np.ndarray, signs: list[int], seed: int) -> Fitted:
    """Fit gradient-boosted trees, monotonic where `signs` says so."""
    options = {"max_leaf_nodes": 16, "learning_rate": 0.12, "l2_regularization": 1.0}
    return _trees(X, y, signs, seed, options)


def _trees(X: np.ndarray, y: np.ndarray, signs: list[int], seed: int, options: dict) -> Fitted:
    from sklearn.ensemble import HistGradientBoostingRegressor

    if not X.shape[1]:
        return _constant(y)
    model = HistGradientBoostingRegressor(
        max_iter=80,
        min_samples_leaf=20,
        monotonic_cst=signs,
        early_stopping=False,
        random_state=seed,
        **options,
    )
    return model.fit(X, y).predict


def smooth(X: np.ndarray, y: np.ndarray, signs: list[int], seed: int) -> Fitted:
    """Fit a Gaussian process's mean, by kernel ridge regression on 300 of the cells (Nyström).

    Features are scaled to a variance of 1, and the squared-exponential kernel is twice the root of
    their number wide, so that it goes on beyond the cells it knows for a while.
    """
    from sklearn.kernel_approximation import Nystroem
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if not X.shape[1]:
        return _constant(y)
    model = make_pipeline(
        StandardScaler(),
        Nystroem(gamma=1 / (8 * X.shape[1]), n_components=min(300, len(X)), random_state=seed),
        Ridge(0.01),
    )
    return model.fit(X, y).predict


def _constant(y: np.ndarray) -> Fitted:
    return lambda X: np.full(len(X), y.mean())


# Folds


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


# Validation

#: What each model's prediction is made of, and the models that are reported. `stacked` is the sum
#: of all members with the non-negative weights that serve the inner folds best.
MEMBERS: dict[str, Callable[..., Fitted]] = {
    "additive": additive,
    "boosted": boosted,
    "smooth": smooth,
}
STACKED = "stacked"
MODELS = (*MEMBERS, STACKED)


@dataclass
class Predictor:
    """A stack of models, fitted to some cells; see :func:`fit`.

    Attributes
    ----------
    members : list of callables
        Features to Dice, as :data:`MEMBERS` were fitted.
    weights : (members,) array
        Of the stack.
    edges, bounds : (n,) and (n + 1, 2) arrays
        Where intervals change, in predicted Dice, and their ends less what is predicted.
    left_out : (train, test) array
        What the stack predicts for cells of the inner folds, NaN elsewhere.
    """

    members: list[Fitted]
    weights: np.ndarray
    edges: np.ndarray
    bounds: np.ndarray
    left_out: np.ndarray

    def __call__(self, X: np.ndarray) -> dict[str, np.ndarray]:
        """Return the Dice that each of :data:`MODELS` predicts, (cells,), between 0 and 1."""
        found = np.stack([np.clip(member(X), 0, 1) for member in self.members])
        return dict(zip(MODELS, [*found, self.weights @ found], strict=True))

    def interval(self, stacked: np.ndarray) -> np.ndarray:
        """Return the interval about each prediction of the stack as (cells, 2)."""
        return np.clip(stacked[:, None] + self.bounds[np.digitize(stacked, self.edges)], 0, 1)


def fit(X: np.ndarray, Y: np.ndarray, inner: list[np.ndarray], seed: int) -> Predictor:
    """Fit all models to some cells of a matrix.

    Each of the inner folds is predicted by models fitted to the others. These predictions, of cells
    that the models had not seen, choose the stack's weights (Wolpert 1992; van der Laan et al.
    2007) and give the errors that its intervals are made of: a split conformal interval of
    :data:`COVERAGE`, for each fifth of the predictions by size its own, since Dice near 1 is
    predicted far better than Dice near 0.5.

    Parameters
    ----------
    X : (train, test, columns) Features
    Y : (train, test) float array
        Dice; NaN is not fitted to.
    inner : list of (train, test) bool arrays
        Cells that are kept from the models, in each fold.
    seed : int
    """
    from scipy.optimize import nnls

    known = np.isfinite(Y)
    out, target, places = [], [], []
    for held in inner:
        members = _fit_members(X, Y, known & ~held, seed)
        cells = _some(known & held, CELLS, seed)
        out.append(np.stack([np.clip(member(X.values[cells]), 0, 1) for member in members]))
        target.append(Y[cells])
        places.append(np.ravel_multi_index(cells, Y.shape))
    members = _fit_members(X, Y, known, seed)
    if not inner:
        even = np.full(len(members), 1 / len(members))
        return Predictor(
            members, even, np.empty(0), np.array([[-1.0, 1.0]]), np.full(Y.shape, np.nan)
        )
    out, target = np.concatenate(out, axis=1), np.concatenate(target)
    weights = nnls(out.T, target)[0]
    weights = weights / weights.sum() if weights.sum() > 0 else np.full(len(out), 1 / len(out))
    stacked = weights @ out
    edges = np.unique(np.quantile(stacked, [0.2, 0.4, 0.6, 0.8]))
    fifth = np.digitize(stacked, edges)
    bounds = [_bounds((target - stacked)[fifth == k]) for k in range(len(edges) + 1)]
    left_out = np.full(Y.size, np.nan)
    left_out[np.concatenate(places)] = stacked
    return Predictor(members, weights, edges, np.array(bounds), left_out.reshape(Y.shape))


def _bounds(errors: np.ndarray) -> np.ndarray:
    """Return the lower and upper quantile of errors, at the rank that conformal intervals take."""
    n = len(errors)
    if not n:
        return np.array([-1.0, 1.0])
    q = min(1.0, np.ceil((n + 1) * (1 + COVERAGE) / 2) / n)
    return np.quantile(errors, [1 - q, q], method="inverted_cdf")


def _fit_members(X: Features, Y: np.ndarray, cells: np.ndarray, seed: int) -> list[Fitted]:
    where = _some(cells, CELLS, seed)
    return [member(X.values[where], Y[where], X.signs, seed) for member in MEMBERS.values()]


def one_thread() -> threadpool_limits:
    """Return a context in which models are fitted, and predict, by one thread.

    So few cells are not worth two, and threads that wait for each other on shared cores make
    gradient boosting a hundred times slower.
    """
    import sklearn.ensemble  # noqa: F401  whose threads are limited only once it is there

    return threadpool_limits(1)


def _some(cells: np.ndarray, most: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of the cells that are True, of more than `most` a random choice."""
    where = np.flatnonzero(cells)
    if len(where) > most:
        where = np.sort(generator(seed, "cells").choice(where, most, replace=False))
    return np.unravel_index(where, cells.shape)


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


# Scores

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


# All of it


def predict(
    metrics: xr.Dataset,
    information: xr.Dataset,
    distances: xr.Dataset | None = None,
    draws: int = 200,
    confidence: float = 0.95,
    seed: int = 0,
    axes: Iterable[str] = (CONDITIONS, *AXES),
    progress: Callable[[Iterable], Iterable] = iter,
    threads: int = 1,
) -> xr.Dataset:
    """Return how well M(i, j), j ≠ i, is predicted where a model has not seen it.

    Of more than :data:`MOST` conditions at an end, a random choice stands for all.

    Parameters
    ----------
    metrics : Dataset
        See :func:`passband.ood.metrics`.
    information : Dataset
        See :func:`passband.information.metrics`, of the same conditions.
    distances : Dataset, optional
        See :func:`feature_sets`.
    draws : int
        Bootstrap samples of the conditions; 0 leaves the intervals out.
    confidence : float
        Coverage of the intervals of scores, percentiles of the bootstrap.
    seed : int
        Of everything that is drawn.
    axes : iterable of str
        What to leave out; see :class:`Fold`.
    progress : callable
        Wraps the iterable of folds.
    threads : int
        Folds to take on at a time.

    Returns
    -------
    Dataset
        Each of :data:`SCORES` over (specimen, architecture, test_specimen, features, model, part)
        with its ``…_interval``; `gain`, the R² of the stack with ``ctf`` less that with other
        features, over (…, features, part), paired; `stack`, the weight of each member in the stack,
        mean over folds, (…, features, member, part); and what the stack predicts with ``ctf``,
        `predicted` and `predicted_interval`, over (…, axis, end, train, test). A part is a fold, or
        all folds of an axis and an end together: its coordinates `part_axis`, `part_end` and
        `part_level` say which. Levels are scored for the stack alone.

    Raises
    ------
    TooFewError
        See :func:`groups`.
    """
    found = []
    for cells in groups(metrics, seed):
        of = information.sel(train=cells.train.values, test=cells.test.values)
        one = _predict(
            cells, of, distances, draws, confidence, seed, tuple(axes), progress, threads
        )
        found.append(one.expand_dims({d: [str(cells[d].values)] for d in GROUP}))
    return xr.combine_by_coords(found, combine_attrs="drop_conflicts")


def groups(metrics: xr.Dataset, seed: int) -> list[xr.Dataset]:
    """Return the cells of each specimen, architecture and test specimen, over (train, test).

    Training conditions without networks are left out, groups with fewer than
    :data:`passband.config.FEWEST_PREDICTED` conditions at an end too, and of more than
    :data:`MOST` a random choice stands for all.

    Raises
    ------
    TooFewError
        If no group is left.
    """
    found, most = [], 0
    for group in np.ndindex(tuple(metrics.sizes[d] for d in GROUP)):
        cells = metrics.isel(dict(zip(GROUP, group, strict=True)))
        there = np.isfinite(cells.dice.transpose("train", "test").values).any(1)
        places = {"train": np.flatnonzero(there), "test": np.arange(cells.sizes["test"])}
        for end, place in places.items():
            if len(place) > MOST:
                # By name, so that a condition that is at both ends is taken at both or neither.
                lot = [generator(seed, "chosen", id).random() for id in cells[end].values[place]]
                places[end] = np.sort(place[np.argsort(lot)[:MOST]])
        fewest = min(map(len, places.values()))
        most = max(most, fewest)
        if fewest >= FEWEST:
            found.append(cells.isel(places))
    if not found:
        raise TooFewError(
            f"networks under {most} conditions: predictions are judged from {FEWEST} on"
        )
    return found


def _predict(
    cells: xr.Dataset,
    information: xr.Dataset,
    distances: xr.Dataset | None,
    draws: int,
    confidence: float,
    seed: int,
    axes: tuple[str, ...],
    progress: Callable[[Iterable], Iterable],
    threads: int,
) -> xr.Dataset:
    from sklearn.utils.parallel import Parallel, delayed

    Y = targets(cells)
    sets = feature_sets(cells, information, distances)
    by = {axis: labels(cells, axis, seed) for axis in (CONDITIONS, *AXES)}
    doses = tuple(cells[f"{end}_dose_e_per_A2"].values for end in ("train", "test"))
    weights = tuple(
        ood.resample(number, draws, seed, "prediction", end)
        for number, end in zip(Y.shape, ("train", "test"), strict=True)
    )
    asked = folds(cells, np.isfinite(Y), axes, seed)
    # Processes, since scikit-learn's fits get in each other's way in threads.
    pool = Parallel(n_jobs=threads, return_as="generator")
    judged = list(progress(pool(delayed(judge)(fold, Y, sets, by, seed) for fold in asked)))
    with one_thread(), ThreadPoolExecutor(threads) as pool:
        together: dict[tuple[str, str, str], list[Judged]] = {}
        for one in judged:
            fold = one.fold
            together.setdefault((fold.axis, fold.end, ALL), []).append(one)
            together[fold.axis, fold.end, fold.level] = [one]
        jobs = [
            (name, model, part)
            for name in sets
            for model in MODELS
            for part in together
            if model == STACKED or part[-1] == ALL
        ]

        def scored(job: tuple) -> dict[str, np.ndarray]:
            name, model, part = job
            of = [(j.cells, j.predicted[name, model], j.bounds[name]) for j in together[part]]
            return score(of, Y, doses, weights)

        scores = dict(zip(jobs, pool.map(scored, jobs), strict=True))
    return _dataset(cells, sets, judged, together, scores, confidence)


def targets(cells: xr.Dataset) -> np.ndarray:
    """Return M(i, j) of a group as (train, test), NaN in distribution, which is not predicted."""
    Y = cells.dice.transpose("train", "test").values.astype(float)
    return np.where(cells.train.values[:, None] == cells.test.values, np.nan, Y)


def _dataset(
    cells: xr.Dataset,
    sets: Mapping[str, Features],
    judged: list[Judged],
    together: Mapping[tuple[str, str, str], list[Judged]],
    scores: Mapping[tuple, dict[str, np.ndarray]],
    confidence: float,
) -> xr.Dataset:
    parts, edges = list(together), [(1 - confidence) / 2, (1 + confidence) / 2]
    shape = (len(sets), len(MODELS), len(parts))
    values = {name: np.full((*shape, 3), np.nan) for name in SCORES}
    gain = np.full((len(sets), len(parts), 3), np.nan)

    def described(samples: np.ndarray) -> list[float]:
        some = samples[1:][np.isfinite(samples[1:])]
        return [samples[0], *(np.quantile(some, edges) if len(some) else (np.nan, np.nan))]

    for (name, model, part), found in scores.items():
        at = list(sets).index(name), MODELS.index(model), parts.index(part)
        for score_, samples in found.items():
            if model == STACKED or score_ not in ("coverage", "width"):
                values[score_][at] = described(samples)
        if model == STACKED:
            gain[at[0], at[2]] = described(scores["ctf", STACKED, part]["r2"] - found["r2"])
    dims = ("features", "model", "part")
    variables = {}

    def add(name: str, dims: tuple[str, ...], value: np.ndarray, words: str) -> None:
        attrs = {"units": "1", "long_name": words}
        variables[name] = (dims, value[..., 0], attrs)
        variables[f"{name}_interval"] = (
            (*dims, "bound"),
            value[..., 1:],
            {
                "units": "1",
                "long_name": f"{confidence:.0%} interval of {words}",
                "method": "percentile bootstrap over training and test conditions as clusters",
            },
        )

    for name, words in SCORES.items():
        add(name, dims, values[name], words)
    add("gain", ("features", "part"), gain, "R² with ctf less that with these features, stacked")
    schemes = list(dict.fromkeys((j.fold.axis, j.fold.end) for j in judged))
    axes = list(dict.fromkeys(axis for axis, _ in schemes))
    total = np.zeros((len(axes), len(ENDS), cells.sizes["train"], cells.sizes["test"], 4))
    for one in judged:
        at = total[axes.index(one.fold.axis), ENDS.index(one.fold.end)]
        at[one.cells] += np.column_stack(
            [np.ones(one.cells.sum()), one.predicted["ctf", STACKED], one.bounds["ctf"]]
        )
    with np.errstate(invalid="ignore"):
        mean = total[..., 1:] / np.where(total[..., :1] > 0, total[..., :1], np.nan)
    of = ("axis", "end", "train", "test")
    words = {"units": "1", "long_name": "mean Dice M(i, j), j ≠ i"}
    variables["true"] = (("train", "test"), targets(cells), words)
    words = {"units": "1", "long_name": "Dice predicted from transfer functions and doses"}
    variables["predicted"] = (of, mean[..., 0].astype("float32"), words)
    words = {"units": "1", "long_name": f"{COVERAGE:.0%} prediction interval of Dice"}
    variables["predicted_interval"] = ((*of, "bound"), mean[..., 1:].astype("float32"), words)
    stack = np.full((len(sets), len(MEMBERS), len(parts)), np.nan)
    for k, part in enumerate(parts):
        for n, name in enumerate(sets):
            stack[n, :, k] = np.mean([one.stack[name] for one in together[part]], 0)
    words = {"units": "1", "long_name": "weight of a model in the stack, mean over folds"}
    variables["stack"] = (("features", "member", "part"), stack, words)
    ends = {name: c for name, c in cells.coords.items() if set(c.dims) in ({"train"}, {"test"})}
    return xr.Dataset(
        variables,
        coords={
            **ends,
            "features": list(sets),
            "model": list(MODELS),
            "member": list(MEMBERS),
            "axis": axes,
            "end": list(ENDS),
            "bound": ["low", "high"],
            "part": ["/".join(part) for part in parts],
            **{
                f"part_{name}": ("part", [p[k] for p in parts])
                for k, name in enumerate(("axis", "end", "level"))
            },
        },
    )


def summary(predicted: xr.Dataset) -> str:
    """Return how well held-out cells are predicted as a Markdown table, a row per way to hold out.

    R² of the stack for each set of features, with its interval, and of the transfer functions' also
    ρ, R² within pairs of doses, and the share of cells within their prediction interval.
    """
    sets = [str(name) for name in predicted.features.values]
    head = ["matrix", "left out", "in", *(f"R², {name}" for name in sets)]
    head += ["ρ, ctf", "R² at given doses, ctf", f"within {COVERAGE:.0%} interval"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    stacked = predicted.sel(model=STACKED).stack(matrix=GROUP).dropna("matrix", how="all")
    for key in stacked.matrix.values:
        one = stacked.sel(matrix=key)
        name = ", ".join([key[1], key[0] if key[0] == key[2] else f"{key[0]} → {key[2]}"])
        for part in one.part.values[one.part_level.values == ALL]:
            of = one.sel(part=part)
            cells = [name, str(of.part_axis.values), str(of.part_end.values)]
            cells += [interval(of.sel(features=s), "r2") for s in sets]
            ctf = of.sel(features="ctf")
            cells += [interval(ctf, "rho"), interval(ctf, "r2_dose"), f"{float(ctf.coverage):.3f}"]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def interval(of: xr.Dataset, name: str) -> str:
    """Return a value and its interval for a reader: ``0.85 (0.81–0.88)``."""
    low, high = of[f"{name}_interval"].values
    return f"{float(of[name]):.2f} ({low:.2f} to {high:.2f})"
