"""Information metrics of mixtures: expectations over the conditions of each mixture."""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from passband.analysis import information
from passband.grid import Condition
from passband.mixtures import Mixture


def metrics(
    train: Sequence[Condition], mixtures: Sequence[Mixture], test: Sequence[Condition], **given
) -> xr.Dataset:
    """Return every information metric for training conditions and, after them, for mixtures.

    A metric of a mixture is the expectation of the metric over the mixture's conditions, see
    :attr:`passband.mixtures.Mixture.members`: Σ p(χ) m(χ, χ′) for a metric m of two conditions.

    Args:
        **given: The other arguments of :func:`passband.analysis.information.metrics`.

    Returns:
        As :func:`passband.analysis.information.metrics`. The ids of the mixtures follow those of
        the training conditions along `train`, and their coordinates are NaN.
    """
    found = information.metrics(train, test, **given)
    if not mixtures:
        return found
    # Conditions of mixtures are computed apart, so that they do not change how others are rounded.
    rest = sorted({c for mixture in mixtures for c in mixture.members} - set(train))
    both = [found]
    if rest:
        both.append(information.metrics(rest, test, **given))
    weights = expectation_weights(mixtures, [*train, *rest])
    ids = [each.id for each in (*train, *mixtures)]

    def expected(name: str, variable: xr.DataArray) -> xr.DataArray:
        if "train" not in variable.dims:
            return variable
        every = np.concatenate([each[name].transpose("train", ...).values for each in both])
        values = np.concatenate([every[: len(train)], np.tensordot(weights, every, 1)])
        dims = variable.transpose("train", ...).dims
        made = xr.DataArray(values, dims=dims, attrs=variable.attrs)
        return made.transpose(*variable.dims)

    variables = {name: expected(name, variable) for name, variable in found.data_vars.items()}
    coords = {
        name: coordinate.variable
        for name, coordinate in found.coords.items()
        if "train" not in coordinate.dims
    }
    of_train = train[0].axes.coordinates(ids, "train")
    return xr.Dataset(variables, coords | {"train": ids} | of_train)


def expectation_weights(mixtures: Sequence[Mixture], conditions: Sequence[Condition]) -> np.ndarray:
    """Return the weight of each condition in the expectation over each mixture.

    The result is a (mixtures, conditions) float64 array. All members of the mixtures must be among
    the conditions.
    """
    place: Mapping[Condition, int] = {each: k for k, each in enumerate(conditions)}
    weights = np.zeros((len(mixtures), len(conditions)))
    for row, mixture in zip(weights, mixtures, strict=True):
        for condition, weight in mixture.members.items():
            row[place[condition]] += weight
    return weights
