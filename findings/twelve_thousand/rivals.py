"""What the process is compared with: published scalars and boosted trees, on drawn cells.

Both are fitted to information metrics of the transfer functions of pairs of conditions. They were
part of the package up to version 0.2.0; the comparison settled that the process needs neither.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
import xarray as xr
from threadpoolctl import threadpool_limits

#: For each information metric, whether predicted Dice must increase (+1) or decrease (−1) with the
#: metric. With a metric that is not in this table, predicted Dice may increase and decrease.
SIGNS = {
    "overlap": 1,
    "overlap_abs": 1,
    "coverage": 1,
    "shared_capacity": 1,
    "wiener": -1,
    "wiener_abs": -1,
    "log_dose_test": 1,
}


class Features(NamedTuple):
    """Features of each pair of conditions.

    Attributes:
        values: (train, test, columns).
        names: Names of the features, one for each column.
    """

    values: np.ndarray
    names: tuple[str, ...]

    @property
    def signs(self) -> list[int]:
        """The entry of :data:`SIGNS` for each column (feature); 0 if a column has no entry."""
        return [SIGNS.get(name.partition("@")[0], 0) for name in self.names]


def transfer_features(information: xr.Dataset, weights: Iterable[str]) -> Features:
    """Return the metrics of the transfer functions, and the doses, of each pair of conditions.

    Args:
        information: Information metrics, see :func:`passband.analysis.information.metrics`.
        weights: Names of the weights of spatial frequencies that the metrics are used with.

    Returns:
        Every registered information metric with each weight, as ``name@weight``. The feature
        ``coverage_back`` is the coverage of the training condition by the test condition, κ(χ′→χ) =
        κ(χ→χ′)·ε(χ′)/ε(χ). The doses of both conditions are features too.
    """
    shape = information.sizes["train"], information.sizes["test"]
    columns = _doses(information)
    for weight in weights:
        weighted = information.sel(weight=weight)
        metrics = {}
        for name in weighted.data_vars:
            value = weighted[name].transpose(..., "train", "test", missing_dims="ignore").values
            metrics[name] = value[:, None] if weighted[name].dims == ("train",) else value
        with np.errstate(invalid="ignore", divide="ignore"):
            back = metrics["coverage"] * metrics["transfer_test"] / metrics["transfer_train"]
        metrics["coverage_back"] = np.where(metrics["transfer_train"] > 0, back, 1.0)
        columns |= {f"{name}@{weight}": value for name, value in metrics.items()}
    values = [np.broadcast_to(value, shape) for value in columns.values()]
    return Features(np.stack(values, -1), tuple(columns))


def _doses(pairs: xr.Dataset) -> Mapping[str, np.ndarray]:
    train, test = (np.log10(pairs[f"{end}_dose_e_per_A2"].values) for end in ("train", "test"))
    return {
        "log_dose_train": train[:, None],
        "log_dose_test": test[None, :],
        "log_dose_ratio": test[None, :] - train[:, None],
    }


def weights_of(information: xr.Dataset, specimen: str) -> list[str]:
    """Return the weights of spatial frequencies for a specimen: flat, its spectrum, its bands."""
    weights = [str(weight) for weight in information.weight.values]
    return [w for w in weights if w.partition("/")[0] in ("flat", specimen)]


def _trees(X: np.ndarray, y: np.ndarray, signs: list[int], seed: int, **options) -> Callable:
    """Fit gradient-boosted trees, monotonic in each feature whose sign is not 0."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    model = HistGradientBoostingRegressor(
        max_iter=80,
        min_samples_leaf=20,
        monotonic_cst=signs,
        early_stopping=False,
        random_state=seed,
        **options,
    )
    return model.fit(X, y).predict


#: Functions (X, y, signs, seed) → function of X, where X (cells, columns) has the features of cells
#: and y (cells,) has their Dice.
MEMBERS: dict[str, Callable[..., Callable[[np.ndarray], np.ndarray]]] = {
    # Without interactions, this is a sum of step functions of the features.
    "additive": partial(
        _trees, max_leaf_nodes=6, learning_rate=0.15, interaction_cst="no_interactions"
    ),
    "boosted": partial(_trees, max_leaf_nodes=16, learning_rate=0.12, l2_regularization=1.0),
}


def one_thread() -> threadpool_limits:
    """Return a context in which the fit and the predictions of models use one thread.

    On processor cores that also run other processes, threads wait for each other, and gradient
    boosting becomes a hundred times slower.
    """
    import sklearn.ensemble  # noqa: F401  loaded first, because only loaded libraries are limited

    return threadpool_limits(1)
