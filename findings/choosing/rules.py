"""Simple rules that choose a network for a microscope, with which recommendations are compared."""

import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from passband.grid import Condition
from passband.mixtures import Mixture
from passband.network_id import NetworkId
from passband.prediction.recommend import network_ranking
from passband.prediction.recommend.nearest_network import (
    distances_by_range,
    nearest,
    values_by_range,
)
from passband.prediction.recommend.network_ranking import ProfilesOf


@dataclass(frozen=True)
class Networks:
    """The networks of a study, and what is known about them before the check.

    Attributes:
        dice: (network, test), mean Dice in the table of results; no value is NaN.
        test: The test conditions of the table.
        unlearned: Networks that did not learn, which are not recommended.
    """

    ids: tuple[NetworkId, ...]
    train: tuple[Condition | Mixture, ...]
    dice: np.ndarray
    test: tuple[Condition, ...]
    unlearned: Collection[NetworkId] = ()


def recommended(networks: Networks, expected: np.ndarray) -> np.ndarray:
    """Return the network that is recommended for each microscope, as `recommend` does.

    Args:
        expected: (network, microscope), expected Dice.
    """
    unlearned = np.array([id in networks.unlearned for id in networks.ids])
    return np.where(unlearned[:, None], -1.0, expected).argmax(0)


def rules(
    networks: Networks, microscopes: Sequence[Condition], profiles: ProfilesOf
) -> dict[str, np.ndarray]:
    """Return the network that each simpler rule chooses for each microscope, (microscope,) int.

    - ``best on average``: the highest mean Dice over the table's test conditions, of all networks
      of single conditions; ``mixture``: of those of mixtures, if there are any.
    - ``nearest in …``: see `nearest`, by the defocus, in parameters by range (the rule
      ``nearest in scaled parameters``, an older name), or by a distance
      of :mod:`passband.prediction.recommend.network_ranking`.
    - ``Gaussian process on parameters``: the highest Dice expected by a Gaussian process on the
      parameters by range of the test condition, fitted to all networks together.
    """
    single = np.array([isinstance(each, Condition) for each in networks.train])
    of_single = [each for each in networks.train if isinstance(each, Condition)]
    of_train, of_asked = profiles(of_single), profiles(microscopes)
    distinct = profiles(sorted(set(of_single)))
    defocus = (np.array([each.defocus_nm for each in of]) for of in (of_single, microscopes))
    apart = {
        "nearest in defocus": np.abs(np.subtract.outer(*defocus)),
        "nearest in scaled parameters": distances_by_range(of_single, microscopes),
        "nearest in T(q)": network_ranking.transfer_distances(of_train, of_asked),
        "nearest in T(q) and dose": network_ranking.distances(of_train, of_asked, distinct),
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


def _by_parameters(networks: Networks, microscopes: Sequence[Condition]) -> np.ndarray:
    """Return Dice (network, microscope) that a process on the test parameters expects."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    tested, asked = values_by_range(networks.test, microscopes)
    kernel = ConstantKernel(1.0) * RBF(np.ones(tested.shape[1]), (0.05, 50)) + WhiteKernel(0.01)
    model = GaussianProcessRegressor(kernel, normalize_y=True)
    with warnings.catch_warnings():
        # A length at the end of its allowed interval is a warning, and no problem here.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(tested, networks.dice.T)
    return model.predict(asked).reshape(len(microscopes), -1).T
