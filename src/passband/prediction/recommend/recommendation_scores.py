"""How much Dice recommended networks lose under test conditions that the process does not know.

No structure both chooses and judges networks: with each half of the test structures, networks are
chosen, and judged on the other half. Otherwise a network that is lucky on the structures would be
chosen for its luck. The best network is the best one on the half that judges. It is partly the
luckiest, so that no choice reaches it, not even that of a test under the condition itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from passband.analysis.bootstrap import (
    NOTHING,
    Estimate,
    interval_edges,
    percentile_interval,
    resample,
)
from passband.outcomes import Outcome
from passband.prediction.recommend import recommendation_text
from passband.prediction.recommend.left_out_tests import LeftOut
from passband.prediction.recommend.nearest_network import nearest

#: Confidence of the bootstrap intervals, and number of bootstrap samples of the test conditions.
CONFIDENCE = 0.95
DRAWS = 2000


@dataclass(frozen=True)
class Losses:
    """Mean losses of Dice over test conditions, and what intervals contain.

    All intervals are bootstrap intervals over test conditions.

    Attributes:
        recommended: Dice of the best network minus that of the recommended one.
        nearest: The same for the nearest network in parameters by range, see
            :func:`passband.prediction.recommend.nearest_network.nearest`. Without a value if some
            condition has no such network, since all are those of mixtures.
        tested: The same for the network that a test of all networks under the condition chooses.
        difference: What the nearest loses more than the recommended.
        coverage: Share of conditions whose interval contains the Dice of the recommended network.
        optimism: Mean of expected minus measured Dice of the recommended networks.
    """

    recommended: Estimate
    nearest: Estimate
    tested: Estimate
    difference: Estimate
    coverage: Estimate
    optimism: float


@dataclass(frozen=True)
class RecommendationCheck(Outcome):
    """What recommendations for each test condition of a study are worth, see `recommend --check`.

    Attributes:
        networks: Number of networks that can be recommended; those that learned.
        conditions: Ids of the test conditions that were left out in turn.
        skipped: Ids of those for which nothing is recommended, since their dose is too low.
        outside: Number of conditions outside the range of the others on an axis.
        trained_there: Number of conditions under which networks were trained.
        every: Losses if every network can be chosen.
        new: Losses without the networks that were trained under the left-out condition, as for a
            microscope that the study does not have. None if there are no such networks.
        coverage: Share of networks × conditions whose interval contains the measured Dice.
        half_width: Mean half-width of these intervals.
        error: Root mean square error of expected Dice, over networks × conditions.
        structures: Number of test structures. With one, the same chooses and judges.
        refitted: Whether the parameters of the process were found without the left-out condition.
        remark: A sentence on the networks that did not learn, or "".
        confidence: That of the bootstrap intervals.
    """

    confidence: ClassVar[float] = CONFIDENCE

    study: str
    specimen: str
    networks: int
    conditions: tuple[str, ...]
    skipped: tuple[str, ...]
    outside: int
    trained_there: int
    every: Losses
    new: Losses | None
    coverage: Estimate
    half_width: float
    error: float
    structures: int
    refitted: bool
    remark: str = ""

    def __str__(self) -> str:
        return recommendation_text.check(self)


def estimate(values: np.ndarray, *names: str | int) -> Estimate:
    """Return the mean of values (condition,), with a bootstrap over the conditions."""
    if not np.isfinite(values).all():
        return NOTHING
    means = resample(len(values), DRAWS, "recommend", *names) @ values / len(values)
    low, high = percentile_interval(means, interval_edges(CONFIDENCE))
    return Estimate(float(values.mean()), float(low), float(high))


def covered(D: np.ndarray, expected: LeftOut) -> np.ndarray:
    """Return whether each Dice is in its interval, (network, test) float64."""
    return ((expected.low <= D) & (expected.high >= D)).astype(float)


def losses(
    D: np.ndarray,
    halves: Sequence[np.ndarray],
    expected: LeftOut,
    apart: np.ndarray,
    candidates: np.ndarray,
) -> Losses:
    """Return the losses of recommended and nearest networks.

    Args:
        D: (network, test), mean Dice on all structures.
        halves: The same on each half of the structures. Each half chooses, and the next one judges.
        expected: Of these networks and tests.
        apart: (network, test), distances in parameters by range; infinite for mixtures.
        candidates: (network, test) bool, which networks can be chosen.
    """
    columns = np.flatnonzero(candidates.any(0))
    apart = np.where(candidates, apart, np.inf)[:, columns]
    is_near = np.isfinite(apart.min(0))

    def best(values: np.ndarray) -> np.ndarray:
        return np.where(candidates, values, -1)[:, columns].argmax(0)

    ours = []
    simple = []
    tested = []
    for k, (known, of_half) in enumerate(zip(halves, expected.halves, strict=True)):
        judge = halves[(k + 1) % len(halves)]
        elsewhere = (known.sum(1, keepdims=True) - known) / (known.shape[1] - 1)
        near = nearest(apart, elsewhere[:, columns])
        most = judge[best(judge), columns]
        ours.append(most - judge[best(of_half), columns])
        simple.append(np.where(is_near, most - judge[near, columns], np.nan))
        tested.append(most - judge[best(known), columns])
    of_ours, of_simple, of_tested = (np.mean(lost, axis=0) for lost in (ours, simple, tested))
    chosen = best(expected.mean), columns
    return Losses(
        recommended=estimate(of_ours, "loss"),
        nearest=estimate(of_simple, "loss"),
        tested=estimate(of_tested, "loss"),
        difference=estimate(of_simple - of_ours, "loss"),
        coverage=estimate(covered(D, expected)[chosen], "coverage"),
        optimism=float((expected.mean - D)[chosen].mean()),
    )
