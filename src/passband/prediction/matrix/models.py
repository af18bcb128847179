"""Models that predict Dice from features of pairs of conditions, and the stack of these models.

The Gaussian process on profiles, :mod:`passband.prediction.gaussian_process`, needs no features. It
is one more model beside the stack, and the prediction `combined` is a weighted mean of both.

Only the functions that fit models import scikit-learn, so that other code does not load
scikit-learn.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits

from passband.prediction.matrix.features import Features
from passband.seeds import generator

#: Largest number of cells of the Dice matrix that a model is fitted to. If there are more cells,
#: this number of cells is drawn at random.
CELLS = 5000
#: Intended coverage of the prediction intervals of Dice.
COVERAGE = 0.9

# A model is a function (X, y, signs, seed) → function of X. X has the features of the cells, and y
# has the Dice of the cells.

Fitted = Callable[[np.ndarray], np.ndarray]


def _trees(X: np.ndarray, y: np.ndarray, signs: list[int], seed: int, **options) -> Fitted:
    """Fit gradient-boosted trees, monotonic in each feature whose sign is not 0."""
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
    """Fit the mean of a Gaussian process, by kernel ridge regression on 300 cells (Nyström).

    Features are scaled to a variance of 1. The width of the squared-exponential kernel is 2√n for n
    features. If a feature is outside the range of the fitted cells, the feature is set to the end
    of this range. One reason is that Wiener errors have no upper bound. The other reason is that
    the mean of the Gaussian process is not valid far from all fitted cells.
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


#: The models that are members of the stack. Results are reported for each member, and for
#: `stacked`. The prediction of `stacked` is a weighted sum of the members' predictions. The weights
#: of the members are not negative, and fit the Dice of the inner folds best.
MEMBERS: dict[str, Callable[..., Fitted]] = {
    # Without interactions, this is a sum of step functions of the features.
    "additive": partial(
        _trees, max_leaf_nodes=6, learning_rate=0.15, interaction_cst="no_interactions"
    ),
    "boosted": partial(_trees, max_leaf_nodes=16, learning_rate=0.12, l2_regularization=1.0),
    "smooth": smooth,
}
STACKED = "stacked"
#: The models of each set of features.
MODELS = (*MEMBERS, STACKED)
#: Two more models, which only the set of features ``ctf`` has, if the profiles of the conditions
#: are known: the Gaussian process on profiles, and the weighted mean of `stacked` and `process`.
#: The weights of `combined` are between 0 and 1, and fit the Dice of the inner folds best.
PROCESS, COMBINED = "process", "combined"

#: A function that fits the Gaussian process to Dice, (train, test) with NaN in unknown cells. It
#: returns the expected Dice of all cells, known or not.
Process = Callable[[np.ndarray], np.ndarray]


@dataclass
class Intervals:
    """Prediction intervals: split conformal intervals with the coverage :data:`COVERAGE`.

    The predictions are sorted and divided into fifths, and each fifth of the predictions has its
    own interval, because Dice near 1 is predicted much better than Dice near 0.5.

    Attributes:
        edges: (n,), values of predicted Dice that divide all predictions into n + 1 parts.
        bounds: (n + 1, 2), for each part of the predictions, the ends of the prediction interval
            minus the predicted Dice.
    """

    edges: np.ndarray
    bounds: np.ndarray

    @classmethod
    def of(cls, predicted: np.ndarray, target: np.ndarray) -> "Intervals":
        """Return the intervals for the errors of predictions (cells,) of the Dice `target`.

        Without any prediction, every interval is 0 to 1.
        """
        if not len(predicted):
            return cls(np.empty(0), np.array([[-1.0, 1.0]]))
        edges = np.unique(np.quantile(predicted, [0.2, 0.4, 0.6, 0.8]))
        fifth = np.digitize(predicted, edges)
        errors = target - predicted
        return cls(edges, np.array([_bounds(errors[fifth == k]) for k in range(len(edges) + 1)]))

    def __call__(self, predicted: np.ndarray) -> np.ndarray:
        """Return the prediction interval of each predicted Dice, as (cells, 2)."""
        return np.clip(predicted[:, None] + self.bounds[np.digitize(predicted, self.edges)], 0, 1)


@dataclass
class Predictor:
    """Models that are fitted to some cells of the Dice matrix; see :func:`fit`.

    Attributes:
        members: The fitted :data:`MEMBERS`: functions from features to Dice.
        weights: (members,), weight of each member in the stack.
        intervals: The prediction intervals of the stack.
        share: Weight of the Gaussian process in `combined`; 0 if there is no Gaussian process.
        combined: The prediction intervals of `combined`, if there is a Gaussian process.
    """

    members: list[Fitted]
    weights: np.ndarray
    intervals: Intervals
    share: float = 0.0
    combined: Intervals | None = None

    def __call__(self, X: np.ndarray) -> dict[str, np.ndarray]:
        """Return the Dice of each cell, between 0 and 1, that each of :data:`MODELS` predicts."""
        by_member = np.stack([np.clip(member(X), 0, 1) for member in self.members])
        return dict(zip(MODELS, [*by_member, self.weights @ by_member], strict=True))

    def combine(self, stacked: np.ndarray, process: np.ndarray) -> np.ndarray:
        """Return the Dice that `combined` predicts, from those of `stacked` and `process`."""
        return stacked + self.share * (process - stacked)


def fit(
    X: Features,
    Y: np.ndarray,
    inner: list[np.ndarray],
    seed: int,
    process: Process | None = None,
) -> Predictor:
    """Fit all models to the cells of a Dice matrix that have a value.

    The cells that an inner fold holds out are predicted by models that are fitted to all other
    cells. These predictions determine the weights of the members of the stack (Wolpert 1992; van
    der Laan et al. 2007). They also determine the weights of the stack and of the Gaussian process
    in `combined`. The errors of these predictions determine the prediction intervals.

    Args:
        X: (train, test, columns) Features.
        Y: (train, test), Dice. Cells whose Dice is NaN are left out.
        inner: The cells that each inner fold holds out, (train, test) bool.
        process: Fits the Gaussian process, see :data:`Process`.
    """
    from scipy.optimize import nnls

    known = np.isfinite(Y)
    out, target, of_process = [], [], []
    for held_out in inner:
        members = _fit_members(X, Y, known & ~held_out, seed)
        cells = _some(known & held_out, CELLS, seed)
        out.append(np.stack([np.clip(member(X.values[cells]), 0, 1) for member in members]))
        target.append(Y[cells])
        if process:
            of_process.append(process(np.where(held_out, np.nan, Y))[cells])
    members = _fit_members(X, Y, known, seed)
    even = np.full(len(members), 1 / len(members))
    if not inner:
        unknown = Intervals.of(np.empty(0), np.empty(0))
        return Predictor(members, even, unknown, 0.5, unknown)
    out, target = np.concatenate(out, axis=1), np.concatenate(target)
    weights = nnls(out.T, target)[0]
    weights = weights / weights.sum() if weights.sum() > 0 else even
    stacked = weights @ out
    predictor = Predictor(members, weights, Intervals.of(stacked, target))
    if process:
        apart = np.concatenate(of_process) - stacked
        best = (apart @ (target - stacked)) / max(apart @ apart, 1e-12)
        predictor.share = float(np.clip(best, 0, 1))
        combined = predictor.combine(stacked, stacked + apart)
        predictor.combined = Intervals.of(combined, target)
    return predictor


def _bounds(errors: np.ndarray) -> np.ndarray:
    """Return the lower and upper quantiles of errors that are the ends of a conformal interval."""
    n = len(errors)
    if not n:
        return np.array([-1.0, 1.0])
    q = min(1.0, np.ceil((n + 1) * (1 + COVERAGE) / 2) / n)
    return np.quantile(errors, [1 - q, q], method="inverted_cdf")


def _fit_members(X: Features, Y: np.ndarray, cells: np.ndarray, seed: int) -> list[Fitted]:
    where = _some(cells, CELLS, seed)
    return [member(X.values[where], Y[where], X.signs, seed) for member in MEMBERS.values()]


def one_thread() -> threadpool_limits:
    """Return a context in which the fit and the predictions of models use one thread.

    With the number of cells that models are fitted to, two threads are not faster than one. On
    processor cores that also run other processes, threads wait for each other, and gradient
    boosting becomes a hundred times slower.
    """
    import sklearn.ensemble  # noqa: F401  loaded first, because only loaded libraries are limited

    return threadpool_limits(1)


def _some(cells: np.ndarray, most: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows and columns of the True cells, or of `most` True cells drawn at random."""
    where = np.flatnonzero(cells)
    if len(where) > most:
        where = np.sort(generator(seed, "cells").choice(where, most, replace=False))
    return np.unravel_index(where, cells.shape)
