"""What the contrast transfer function alone says of two conditions: information metrics.

The paper names an information-transfer metric ε(χ) and an overlap metric σ(χ, χ′) of the transfer
T(q); the expressions here are Passband's own. Integrals run over the two-dimensional plane of
spatial frequencies up to the band limit of the exit waves. For round lenses T depends on |q| alone,
so that d²q = 2πq dq; otherwise the integrals run over the azimuth as well. The weight w(q) is flat,
or the specimen's mean spectral power. To add a metric, write a function and register it; it then is
in the store, the table of metrics and the documentation.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from passband import ctf, units
from passband.grid import Condition, coordinates

if TYPE_CHECKING:
    from passband.config import Microscope

#: Metrics of one condition: (T, u) → values, with T of shape (conditions, frequencies) and u the
#: weights w(q)·q·dq of the integral. Of a lens that is not round, a frequency is one of |q| and φ.
SINGLE: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {}

#: Metrics of a training and a test condition: (T, T′, u) → matrix (train, test).
PAIR: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {}


def register(table: dict[str, Callable], name: str) -> Callable:
    """Return a decorator that adds a metric to :data:`SINGLE` or :data:`PAIR` under a name."""

    def add(function: Callable) -> Callable:
        table[name] = function
        return function

    return add


@register(SINGLE, "transfer")
def transfer(T: np.ndarray, u: np.ndarray) -> np.ndarray:
    """ε(χ) = ∫wT²/∫w: the share of the weighted band that is transferred, 0 to 1."""
    return T**2 @ u / u.sum()


@register(PAIR, "overlap")
def overlap(T: np.ndarray, T_test: np.ndarray, u: np.ndarray) -> np.ndarray:
    """σ(χ, χ′) = ∫wTT′/√(∫wT²·∫wT′²): likeness of two transfers with their signs, −1 to 1."""
    norm = np.outer(np.sqrt(T**2 @ u), np.sqrt(T_test**2 @ u))
    return (T * u) @ T_test.T / np.where(norm > 0, norm, np.inf)


@register(PAIR, "overlap_abs")
def overlap_abs(T: np.ndarray, T_test: np.ndarray, u: np.ndarray) -> np.ndarray:
    """σ of |T| and |T′|: likeness that ignores contrast reversals, 0 to 1."""
    return overlap(np.abs(T), np.abs(T_test), u)


@register(PAIR, "coverage")
def coverage(T: np.ndarray, T_test: np.ndarray, u: np.ndarray) -> np.ndarray:
    """κ(χ→χ′) = ∫w·min(T², T′²)/∫wT′²: the share of what the test condition shows that the
    training condition showed too, 0 to 1. Not symmetric; 1 where the test condition shows nothing.
    """
    P, P_test = T**2, T_test**2
    shared = np.empty((len(P), len(P_test)))
    for part in np.array_split(np.arange(len(P_test)), -(-len(P_test) // 32)):
        # A block of test conditions that stays in the cache, three times as fast as all at once.
        block = P_test[part]
        least = np.empty_like(block)
        for i, row in enumerate(P):
            shared[i, part] = np.minimum(row, block, out=least) @ u
    shown = P_test @ u
    return np.divide(shared, shown, out=np.ones_like(shared), where=shown > 0)


def metrics(
    train: Sequence[Condition],
    test: Sequence[Condition],
    microscope: "Microscope",
    samples: int,
    spectra: dict[str, tuple[np.ndarray, np.ndarray]],
) -> xr.Dataset:
    """Return every registered metric for every pair of conditions and every weight.

    Parameters
    ----------
    train, test : sequences of Condition
        Training and test conditions.
    microscope : Microscope
        What is fixed in the study.
    samples : int
        Radial frequencies between 0 and the band limit; midpoint rule. For a lens that is not
        round, each along as many azimuths as :func:`passband.ctf.azimuths_needed` says.
    spectra : dict of str to (q, w)
        Weights by name: frequencies [1/Å] and weights there, interpolated linearly and constant
        beyond both ends.

    Returns
    -------
    Dataset
        `transfer_train` (weight, train), `transfer_test` (weight, test), and each metric of pairs
        (weight, train, test), all float64.
    """
    cutoff = microscope.sampling.cutoff
    q = (np.arange(samples) + 0.5) * cutoff / samples
    lenses = [[units.optics(c, microscope) for c in conditions] for conditions in (train, test)]
    number = max(ctf.azimuths_needed(optics, cutoff) for end in lenses for optics in end)
    phi = 0.0
    if number > 1:  # a round lens needs none, whatever it is
        q, phi = (axis.ravel() for axis in np.meshgrid(q, ctf.azimuths(number)))
    T, T_test = (np.stack([ctf.transfer(optics, q, phi) for optics in end]) for end in lenses)
    weights = {name: np.interp(q, *curve) * q for name, curve in spectra.items()}
    variables = {}
    for name, metric in SINGLE.items():
        for end, transfers in (("train", T), ("test", T_test)):
            values = np.stack([metric(transfers, u) for u in weights.values()])
            variables[f"{name}_{end}"] = (("weight", end), values, _attrs(metric))
    for name, metric in PAIR.items():
        values = np.stack([metric(T, T_test, u) for u in weights.values()])
        variables[name] = (("weight", "train", "test"), values, _attrs(metric))
    train_ids, test_ids = [c.id for c in train], [c.id for c in test]
    return xr.Dataset(
        variables,
        coords={
            "weight": list(weights),
            "train": train_ids,
            "test": test_ids,
            **coordinates(train_ids, "train"),
            **coordinates(test_ids, "test"),
        },
    )


def _attrs(metric: Callable) -> dict[str, str]:
    return {"units": "1", "long_name": " ".join((metric.__doc__ or metric.__name__).split())}
