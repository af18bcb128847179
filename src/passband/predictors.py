"""Models that predict Dice from features of pairs of conditions, and their stack with intervals.

scikit-learn is imported when a model is fitted, so that the rest of the package does not need it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from passband.features import Features
from passband.seeds import generator

#: Most cells that a model is fitted to, drawn at random.
CELLS = 5000
#: Coverage that prediction intervals are made for.
COVERAGE = 0.9

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
    their number wide. A feature beyond the range of the cells that it knows is taken for the end of
    that range: Wiener errors have no upper bound, and what the mean does far from all cells says
    nothing.
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
    low, high = X.min(0), X.max(0)
    model.fit(X, y)
    return lambda X: model.predict(np.clip(X, low, high))


def _constant(y: np.ndarray) -> Fitted:
    return lambda X: np.full(len(X), y.mean())


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
    """

    members: list[Fitted]
    weights: np.ndarray
    edges: np.ndarray
    bounds: np.ndarray

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
    out, target = [], []
    for held in inner:
        members = _fit_members(X, Y, known & ~held, seed)
        cells = _some(known & held, CELLS, seed)
        out.append(np.stack([np.clip(member(X.values[cells]), 0, 1) for member in members]))
        target.append(Y[cells])
    members = _fit_members(X, Y, known, seed)
    if not inner:
        even = np.full(len(members), 1 / len(members))
        return Predictor(members, even, np.empty(0), np.array([[-1.0, 1.0]]))
    out, target = np.concatenate(out, axis=1), np.concatenate(target)
    weights = nnls(out.T, target)[0]
    weights = weights / weights.sum() if weights.sum() > 0 else np.full(len(out), 1 / len(out))
    stacked = weights @ out
    edges = np.unique(np.quantile(stacked, [0.2, 0.4, 0.6, 0.8]))
    fifth = np.digitize(stacked, edges)
    bounds = [_bounds((target - stacked)[fifth == k]) for k in range(len(edges) + 1)]
    return Predictor(members, weights, edges, np.array(bounds))


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
