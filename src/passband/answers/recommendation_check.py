"""What recommendations of a study's networks are worth, from the study's own matrix.

Each test condition is left out in turn: the process does not know its results, recommends networks
for it, and is judged by the results.
"""

import numpy as np

from passband.answers.tested_networks import TestedNetworks
from passband.errors import PassbandError
from passband.grid import Condition
from passband.prediction.range_of_use import Asked, ranges
from passband.prediction.recommend.left_out_tests import LeftOut, left_out
from passband.prediction.recommend.nearest_network import distances_by_range
from passband.prediction.recommend.recommendation_scores import (
    RecommendationCheck,
    covered,
    estimate,
    losses,
)


def check(tested: TestedNetworks) -> RecommendationCheck:
    """Return how much Dice the recommended networks lose under each test condition.

    Further conditions under which all networks were tested are test conditions too. Networks that
    did not learn help to fit the process, as in a recommendation, and are not chosen.

    Raises:
        PassbandError: If no network has learned.
    """
    tests = [*tested.tested, *tested.further]
    ids = [id for rows in tested.of_matrices for id in rows.networks]
    rows = np.array([k for k, id in enumerate(ids) if id not in tested.unlearned], dtype=int)
    if not len(rows):
        raise PassbandError(
            f"{tested.results}: no network of the study has learned, so none is recommended; "
            "docs/ood.md says what to change"
        )
    structures = tested.matrices[0].structures
    halves = [tested]
    if structures > 1:
        halves = [tested.of_structures(range(k, structures, 2), f"half-{k + 1}") for k in (0, 1)]
    expected = _expected(tested, halves, tests)
    answered = np.isfinite(expected.mean[rows]).all(0)
    here = np.ix_(rows, np.flatnonzero(answered))
    expected = LeftOut(
        *(values[here] for values in (expected.mean, expected.low, expected.high)),
        halves=tuple(values[here] for values in expected.halves),
        refitted=expected.refitted,
    )
    judged = [test for test, is_judged in zip(tests, answered, strict=True) if is_judged]
    train = [ids[row].condition for row in rows]
    D, *of_halves = (_dice(of)[here] for of in (tested, *halves))
    home = np.array(train)[:, None] == [test.id for test in judged]
    apart = _distances(tested, train, judged)
    return RecommendationCheck(
        study=tested.study.study.name,
        specimen=tested.specimen,
        networks=len(rows),
        conditions=tuple(test.id for test in judged),
        skipped=tuple(test.id for test in tests if test not in judged),
        outside=sum(_is_outside(test, tested.tested) for test in judged),
        trained_there=int(home.any(0).sum()),
        every=losses(D, of_halves, expected, apart, np.ones_like(home)),
        new=losses(D, of_halves, expected, apart, ~home) if home.any() else None,
        coverage=estimate(covered(D, expected).mean(0), "coverage"),
        half_width=float((expected.high - expected.low).mean() / 2),
        error=float(np.sqrt(((expected.mean - D) ** 2).mean())),
        structures=structures,
        refitted=expected.refitted,
        remark=tested.remark,
    )


def _dice(tested: TestedNetworks) -> np.ndarray:
    """Return the mean Dice of all networks, (network, test)."""
    return np.concatenate([rows.dice for rows in tested.of_matrices])


def _expected(
    tested: TestedNetworks, halves: list[TestedNetworks], tests: list[Condition]
) -> LeftOut:
    """Return what the processes of all matrices expect under each test condition."""
    found = []
    for k, (fitted, rows) in enumerate(zip(tested.fitted, tested.of_matrices, strict=True)):
        of_halves = [half.of_matrices[k].dice for half in halves]
        networks = tested.network_profiles(rows.train)
        found.append(left_out(fitted.model, rows.dice, of_halves, networks, tests, tested.profiles))
    return LeftOut(
        *(np.concatenate([getattr(one, n) for one in found]) for n in ("mean", "low", "high")),
        halves=tuple(map(np.concatenate, zip(*(one.halves for one in found), strict=True))),
        refitted=all(one.refitted for one in found),
    )


def _distances(tested: TestedNetworks, train: list[str], tests: list[Condition]) -> np.ndarray:
    """Return distances in parameters by range, (network, test); infinite for mixtures."""
    ids = list(dict.fromkeys(train))
    conditions = [tested.study.trained_under(id) for id in ids]
    # Each test condition may have further axes of its own.
    apart = np.hstack([distances_by_range(conditions, [test]) for test in tests])
    return np.where(np.isnan(apart), np.inf, apart)[[ids.index(id) for id in train]]


def _is_outside(test: Condition, tested: list[Condition]) -> bool:
    """Return whether a test condition is outside the range of the others on an axis."""
    others = [each for each in tested if each != test]
    return bool(Asked.at(test).outside(ranges(others, test.axes.names)))
