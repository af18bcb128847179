"""Features of each pair of conditions, from which models predict Dice.

The main features are information metrics of the transfer functions. The baselines are other
features: imaging parameters, Dice in distribution, or distances between images or networks.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import xarray as xr

from passband.grid import axes_of
from passband.prediction.range_of_use import scaled

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
    return _table(columns, shape)


def weights_of(information: xr.Dataset, specimen: str) -> list[str]:
    """Return the weights of spatial frequencies for a specimen: flat, its spectrum, its bands."""
    weights = [str(weight) for weight in information.weight.values]
    return [w for w in weights if w.partition("/")[0] in ("flat", specimen)]


def raw_features(pairs: xr.Dataset) -> Features:
    """Return the imaging parameters of both conditions, their differences and absolute differences.

    For the dose, the decimal logarithm of the dose is used.
    """
    columns = {}
    for axis in axes_of(pairs):
        train, test = (scaled(axis, pairs[f"{end}_{axis}"].values) for end in ("train", "test"))
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

    Args:
        cells: OOD metrics of one Dice matrix, over (train, test); see
            :func:`passband.analysis.groups.groups`.
        information: Information metrics of the same conditions, see
            :func:`passband.analysis.information.metrics`.
        distances: Distances between two conditions that are not information metrics. Every variable
            over (train, test) makes one more set of features, together with the doses.

    Returns:
        - ``ctf``: information metrics of the transfer functions, and the doses.
        - ``mean``: no features, so that every model predicts the mean.
        - ``id``: the network's Dice in distribution, M(i, i). This set of features is left out
          unless M(i, i) is known for every network.
        - ``raw``: the imaging parameters of both conditions.
        - One set of features for each distance in `distances`. The set is left out unless all
          values of the distance are known.
    """
    specimen, shape = str(cells.specimen.values), (cells.sizes["train"], cells.sizes["test"])
    sets = {
        "ctf": transfer_features(information, weights_of(information, specimen)),
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
            place = {d: cells[d].values for d in values.dims}
            values = values.sel(place).transpose("train", "test").values
            if np.isfinite(values).all():
                sets[str(name)] = _table({str(name): values, **_doses(cells)}, shape)
    return sets
