"""How much Dice recommended networks lose under test conditions that the process does not know.

No structure both chooses and judges networks: with each half of the test structures, networks are
chosen, and judged on the other half. Otherwise a network that is lucky on the structures would be
chosen for its luck. The best network is the best one on the half that judges. It is partly the
luckiest, so that no choice reaches it, not even that of a test under the condition itself.
"""

from collections.abc import Iterator, Sequence
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
from passband.prediction.gaussian_process import COVERAGE
from passband.prediction.recommend.left_out_tests import LeftOut
from passband.prediction.recommend.nearest_network import nearest
from passband.words import columns, number_of

#: Text in place of a value that does not exist.
_NONE = "–"
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
        return in_words(self)


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


def in_words(found: RecommendationCheck) -> str:
    """Return what recommendations are worth, for people; the verdict comes first."""
    lost = (
        f"recommended networks lose {_value(found.every.recommended)} of Dice against "
        f"the best, the nearest in parameters by range {_value(found.every.nearest)}"
    )
    if new := found.new:
        lost += (
            f"; without the networks that were trained there, {_value(new.recommended)} and "
            f"{_value(new.nearest)}"
        )
    true = (
        f"{COVERAGE:.0%} intervals contain {_value(found.coverage, '.1%')} of the measured "
        f"Dice of all networks, and {_value(found.every.coverage, '.1%')} of that of "
        "recommended ones"
    )
    conditions = number_of(len(found.conditions), "test condition")
    said = (
        f"study {found.study}, {found.specimen}: each of {conditions} was left out in turn, and "
        f"{number_of(found.networks, 'network')} ranked for it from the others"
    )
    rows = [_losses("all networks", found.every)]
    if found.new is not None:
        rows.append(_losses("all but those trained there", found.new))
    head = ["chosen from", "recommended loses", "nearest", "tested there", "nearest − recommended"]
    return "\n\n".join([f"{lost}\n{true}", said, columns([head, *rows]), "\n".join(_notes(found))])


def _losses(chosen_from: str, losses: Losses) -> list[str]:
    every = losses.recommended, losses.nearest, losses.tested, losses.difference
    return [chosen_from, *map(_estimate, every)]


def _notes(found: RecommendationCheck) -> Iterator[str]:
    if found.new is not None:
        of = f"{found.trained_there} of {len(found.conditions)}"
        yield (
            f"Networks were trained under {of} conditions. A microscope between the study's "
            "conditions is further from a network than with them, and nearer than without."
        )
    if found.structures > 1:
        yield (
            "One half of the test structures chooses networks, and the other half judges them, "
            "both ways. The best on the half that judges is partly the luckiest: “tested there” is "
            "chosen by a test under the left-out condition itself."
        )
    else:
        yield "The only test structure chooses networks and judges them, so losses are too small."
    if found.refitted:
        yield "The model's parameters were found without the left-out condition."
    else:
        yield (
            "The model's parameters are those found with all conditions, since to find them each "
            "time would take long; its expected Dice does not know the left-out results."
        )
    if found.outside:
        outside = number_of(found.outside, "condition")
        yield f"{outside} outside the range of the others: Dice is extrapolated there."
    if found.skipped:
        skipped = number_of(len(found.skipped), "condition")
        yield f"{skipped} not judged, since nothing is recommended for so low a dose."
    yield f"In parentheses: {found.confidence:.0%} bootstrap intervals over the conditions."
    if found.remark:
        yield found.remark


def _value(estimate: Estimate, form: str = "z.3f") -> str:
    return format(estimate.value, form) if estimate else _NONE


def _estimate(estimate: Estimate) -> str:
    if not estimate:
        return _NONE
    return f"{estimate.value:z.3f} ({estimate.low:z.3f} to {estimate.high:z.3f})"
