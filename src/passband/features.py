"""What is known of each pair of conditions before a network meets it, to predict Dice from.

From the transfer functions, or, as baselines, from the imaging parameters, from the network's own
test, and from distances of images and of networks.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import xarray as xr

from passband.grid import AXES

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


def weights_of(information: xr.Dataset, specimen: str) -> list[str]:
    """Return the weights that tell of a specimen: the flat one, its spectrum, and bands of it."""
    weights = [str(weight) for weight in information.weight.values]
    return [w for w in weights if w.partition("/")[0] in ("flat", specimen)]


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
            at = {d: cells[d].values for d in values.dims}
            values = values.sel(at).transpose("train", "test").values
            if np.isfinite(values).all():
                sets[str(name)] = _table({str(name): values, **_doses(cells)}, shape)
    return sets
