"""The models of Dice with which the explorer ranks networks for a microscope.

The page computes the expected Dice of :mod:`passband.prediction.gaussian_process` itself. The mean
of the logit of a network's Dice under a condition x is a sum over the fitted test conditions t,

    mean(x) = m + d·Σ_t G_t·C(x, t),

where C is the factor over test conditions and G does not depend on x. Its variance is

    d²·f²·[own·s²(k(x, x) + κ) + σ² − Σ_b H_b·E_b(x)²],    E_b(x) = s²·Σ_t C(x, t)·V_tb.

So the page needs only G, H, V and the parameters of C. Beyond the tested doses, it answers as
:func:`passband.prediction.recommend.network_dice.predicted`.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from passband.analysis.profiles import Profiles
from passband.axes import AXES
from passband.grid import Condition
from passband.matrices.matrix import Matrix
from passband.network_id import NetworkId
from passband.prediction.gaussian_process import BELOW_STD, Z90
from passband.prediction.range_of_use import TestedDoses, ranges
from passband.prediction.recommend.network_dice import FittedNetworks
from passband.reports.explorer.explorer import Blocks
from passband.reports.explorer.matrix_blocks import conditions

#: Largest number of networks times test conditions in a ranking, whose weights and measured Dice
#: take 7 bytes each in the page.
MOST_NUMBERS = 600_000
#: Largest number of numbers in H of a model and in V.
_MOST_OF_INTERVALS = 150_000
#: Step of measured Dice.
_STEP = 2e-5


def ranking(
    fitted: Sequence[FittedNetworks],
    tested: Sequence[Condition],
    further: Sequence[Condition],
    measured: Sequence[np.ndarray],
    profile: Profiles,
    response: np.ndarray,
    specimen: str,
    blocks: Blocks,
    unlearned: Collection[NetworkId] = (),
) -> dict[str, Any]:
    """Return what the page needs to rank networks for a test specimen.

    Args:
        fitted: All networks, with their fitted models.
        tested, further: The study's test conditions, and further conditions under which networks
            were tested. These must have no other axes than the study.
        measured: Mean Dice of the networks of each model, over the conditions of `tested` and
            `further`, each (network, test); NaN where a network was not tested.
        profile: The profile of any condition, with the frequencies and the spectrum of all
            profiles.
        response: (frequency,), transfer of vibration and detector at the frequencies of `profile`,
            for the study's own values of further axes.
        unlearned: Networks that did not learn, which the page does not rank.
    """
    frequencies = {
        name: blocks.floats(getattr(profile, name))
        for name in ("frequency", "azimuth", "area", "power")
    }
    every = {condition.id: condition for condition in (*tested, *further)}
    of_study = ranges(tested)
    doses = TestedDoses.of(every.values())
    return {
        "specimen": specimen,
        "frequencies": frequencies
        | {"response": blocks.floats(np.broadcast_to(response, profile.frequency.shape))},
        "ranges": [of_study[name] for name in AXES if name in of_study],
        "tested": conditions(list(every.values())),
        "doses": {
            "low": doses.low,
            "high": doses.high,
            "lowest": doses.lowest,
            "deviation": BELOW_STD,
        },
        "unlearned": sorted(map(str, unlearned)),
        "groups": [
            _stored(one, dice, blocks, every) for one, dice in zip(fitted, measured, strict=True)
        ],
    }


def predicted(fitted: FittedNetworks, matrix: Matrix) -> np.ndarray:
    """Return a matrix, (train, test), with each test condition predicted from all others.

    It is the mean over replicas.

    Args:
        fitted: All networks of the matrix, with their fitted model.
    """
    tests, dice = fitted.model.left_out()
    every = xr.DataArray(dice, {"train": list(fitted.train), "test": tests.astype(str)})
    means = every.groupby("train").mean().reindex(train=matrix.rows, test=matrix.columns)
    return means.transpose("train", "test").values


def _stored(
    fitted: FittedNetworks, measured: np.ndarray, blocks: Blocks, known: Mapping[str, Condition]
) -> dict[str, Any]:
    model = fitted.model
    explained = model.explained()
    of_test = np.exp(explained.parameters)
    found = {
        "specimen": fitted.specimen,
        "architecture": fitted.architecture,
        "networks": list(map(str, fitted.networks)),
        "train": list(fitted.train),
        "fitted": conditions([known[str(id)] for id in explained.tests]),
        "measured": blocks.integers(measured, _STEP),
        "weights": blocks.short_floats(explained.weights),
        "mean": model.mean,
        "deviation": model.deviation,
        "lengths": of_test[:-2].tolist(),
        "linear": float(of_test[-2]),
        "constant": float(of_test[-1]),
        "dose": float(explained.dose),
        "interval": None,
    }
    if explained.H is not None and max(explained.H.size, explained.V.size) <= _MOST_OF_INTERVALS:
        found["interval"] = {
            "H": blocks.floats(explained.H, "f8"),
            "V": blocks.floats(explained.V, "f8"),
            "own": explained.variance.tolist(),
            "inflation": explained.inflation.tolist(),
            "signal": float(explained.signal),
            "kappa": float(explained.kappa),
            "noise": float(explained.noise),
            "z": Z90,
        }
    return found
