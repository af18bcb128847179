"""The Dice that a process expects under each test condition, from all other test conditions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from passband.analysis.profiles import Profiles
from passband.grid import Condition
from passband.prediction import gaussian_process
from passband.prediction.gaussian_process import GaussianProcess
from passband.prediction.range_of_use import TestedDoses
from passband.prediction.recommend.network_dice import ProfilesOf, predicted

#: Most cells (training conditions × test conditions) with which the parameters of a process are
#: found again without each test condition. With so many, this takes about a minute.
MOST_REFITTED = 4_000


@dataclass(frozen=True)
class LeftOut:
    """Expected Dice (network, test) under each test condition, of networks unknown there.

    Columns in which nothing is expected, since the dose is too low, are NaN, see
    :class:`passband.prediction.range_of_use.TestedDoses`.

    Attributes:
        mean, low, high: The expected Dice on all test structures, and the ends of its interval.
        halves: The expected Dice on each half of the structures, from the same half.
        refitted: Whether the parameters of the process were found without the test condition too.
            If not, they are those of the process that knows all test conditions.
    """

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    halves: tuple[np.ndarray, ...]
    refitted: bool


def left_out(
    model: GaussianProcess,
    D: np.ndarray,
    halves: Sequence[np.ndarray],
    networks: Profiles,
    tests: Sequence[Condition],
    profiles: ProfilesOf,
) -> LeftOut:
    """Return what the process expects under each test condition if it does not know its column.

    Args:
        model: The process that is fitted to `D`.
        D: (network, test), mean Dice on all test structures.
        halves: The same on halves of the test structures.
        networks: The profile of the training condition of each network.
        tests: The test conditions, each once.
    """
    refit = len(np.unique(networks.ids)) * len(tests) <= MOST_REFITTED
    of_tests = profiles(tests)
    known_to_all = None
    if not refit:
        # A process with the same parameters expects exactly this if it does not know the column.
        of_halves = [_fit(half, networks, of_tests, model).left_out()[1] for half in halves]
        known_to_all = *model.left_out_interval(), *of_halves
    found = np.full((3 + len(halves), *D.shape), np.nan)
    for j, test in enumerate(tests):
        doses = TestedDoses.of([*tests[:j], *tests[j + 1 :]])
        if test.dose_e_per_A2 < doses.lowest:
            continue
        if known_to_all is not None and doses.low <= test.dose_e_per_A2 <= doses.high:
            found[:, :, j] = [values[:, j] for values in known_to_all]
            continue
        others = np.delete(np.arange(len(tests)), j)
        rest = of_tests[others]
        process = _fit(D[:, others], networks, rest, None if refit else model)
        ends = predicted(process, None, [test], profiles, doses)
        of_halves = [
            predicted(_fit(half[:, others], networks, rest, process), None, [test], profiles, doses)
            for half in halves
        ]
        found[:, :, j] = [values[:, 0] for values in (*ends, *(mean for mean, *_ in of_halves))]
    mean, low, high, *expected = found
    return LeftOut(mean, low, high, tuple(expected), refit)


def _fit(
    D: np.ndarray, networks: Profiles, tests: Profiles, like: GaussianProcess | None
) -> GaussianProcess:
    """Return a process with the parameters of another, or with those that fit best."""
    theta = None if like is None else like.theta
    return gaussian_process.fit(D, networks, tests, theta=theta)
