"""Simple rules that choose a network for a microscope, with which recommendations are compared."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from passband.axes import MAIN_AXES
from passband.grid import Condition
from passband.mixtures import Mixture
from passband.prediction.range_of_use import scaled
from passband.prediction.recommend.network_ranking import Profiles, distances, transfer_distances


@dataclass(frozen=True)
class Networks:
    """The networks of a study, and what is known about them before the check.

    Attributes:
        dice: (network, test), mean Dice in the table of results; no value is NaN.
        test: The test conditions of the table.
    """

    ids: tuple[str, ...]
    train: tuple[Condition | Mixture, ...]
    dice: np.ndarray
    test: tuple[Condition, ...]


def nearest(apart: np.ndarray, average: np.ndarray) -> np.ndarray:
    """Return, for each microscope, the nearest network.

    Args:
        apart: (network, microscope), distances.
        average: (network,), mean Dice of each network. If several networks are equally near, the
            network with the highest mean Dice is chosen.
    """
    tied = apart <= apart.min(0) + 1e-9 * (1 + apart.min(0))
    return np.where(tied, average[:, None], -np.inf).argmax(0)


def rules(
    networks: Networks, microscopes: Sequence[Condition], profiles: Profiles
) -> dict[str, np.ndarray]:
    """Return the network that each simpler rule chooses for each microscope.

    Returns:
        - ``best on average``, (microscope,) int: the highest mean Dice over the table's test
          conditions, of all networks of single conditions.
        - ``mixture``: the highest mean Dice of all networks of mixtures, if there are any.
        - ``nearest in defocus``: the nearest training condition in defocus.
        - ``nearest in scaled parameters``: in all parameters that are axes of the study, each
          divided by its range among the training conditions; the dose as its logarithm.
        - ``nearest in T(q)``: by the root mean square difference of the transfers.
        - ``nearest in T(q) and dose``: see
          :func:`passband.prediction.recommend.network_ranking.distances`.
        - ``Gaussian process on parameters``: the highest Dice expected by a Gaussian process on the
          scaled parameters of the test condition, fitted to all networks together.

        Where several networks are equally near, see :func:`nearest`.
    """
    single = np.array([isinstance(each, Condition) for each in networks.train])
    of_single = [each for each in networks.train if isinstance(each, Condition)]
    of_train, of_asked = profiles(of_single), profiles(microscopes)
    distinct = profiles(sorted(set(of_single)))
    by_axis = scaled_distances(of_single, microscopes)
    apart = {
        "nearest in defocus": by_axis[..., list(MAIN_AXES).index("defocus_nm")],
        "nearest in scaled parameters": np.sqrt((by_axis**2).sum(-1)),
        "nearest in T(q)": transfer_distances(of_train, of_asked),
        "nearest in T(q) and dose": distances(of_train, of_asked, distinct),
    }
    average, rows = networks.dice.mean(1), np.flatnonzero(single)
    best = {"best on average": single, "mixture": ~single}
    chosen = {
        name: np.full(len(microscopes), np.where(which, average, -np.inf).argmax())
        for name, which in best.items()
        if which.any()
    }
    chosen |= {name: rows[nearest(values, average[rows])] for name, values in apart.items()}
    chosen["Gaussian process on parameters"] = _by_parameters(networks, microscopes).argmax(0)
    return chosen


def scaled_distances(train: Sequence[Condition], asked: Sequence[Condition]) -> np.ndarray:
    """Return distances (train, asked, axis), each divided by the axis's range in training."""
    place, width = _scale(train)
    of_train, of_asked = (_scaled(each, place, width) for each in (train, asked))
    return np.abs(of_train[:, None] - of_asked)


def _scale(conditions: Sequence[Condition]) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower end and the width of each axis's range; the width is 1 for one value."""
    values = _scaled(conditions, 0.0, 1.0)
    width = np.ptp(values, axis=0)
    return values.min(0), np.where(width > 0, width, 1.0)


def _scaled(
    conditions: Sequence[Condition], place: np.ndarray | float, width: np.ndarray | float
) -> np.ndarray:
    """Return the scaled parameters of conditions as (condition, axis)."""
    names = conditions[0].axes.names
    values = np.array([[scaled(name, c.value(name)) for name in names] for c in conditions])
    return (values - place) / width


def _by_parameters(networks: Networks, microscopes: Sequence[Condition]) -> np.ndarray:
    """Return Dice (network, microscope) that a process on the test parameters expects."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    place, width = _scale(networks.test)
    kernel = ConstantKernel(1.0) * RBF(np.ones(len(place)), (0.05, 50)) + WhiteKernel(0.01)
    model = GaussianProcessRegressor(kernel, normalize_y=True)
    with warnings.catch_warnings():
        # A length at the end of its allowed interval is a warning, and no problem here.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(_scaled(networks.test, place, width), networks.dice.T)
    asked = _scaled(microscopes, place, width)
    return model.predict(asked).reshape(len(microscopes), -1).T
