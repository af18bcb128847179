"""How good recommended networks are: true Dice under microscopes that the models have not seen.

Microscopes are drawn within the ranges of a study and beyond them, see
:mod:`passband.prediction.recommend.microscopes`, and all networks are tested there. This module
compares the recommended networks with the rules of
:mod:`passband.prediction.recommend.choice_rules`. :mod:`passband.answers.recommendation_check`
tests the networks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from passband.analysis.bootstrap import (
    NOTHING,
    Estimate,
    interval_edges,
    percentile_interval,
    resample,
)
from passband.grid import Condition
from passband.prediction.recommend.choice_rules import Networks, oracle, rules
from passband.prediction.recommend.network_ranking import Profiles

#: Name of the rule that this module checks, and of the rule that knows more than a user can know.
OURS, ORACLE = "recommended", "oracle"
#: Confidence of the bootstrap intervals, and number of bootstrap samples of the microscopes.
CONFIDENCE, DRAWS = 0.95, 2000
#: A chosen network counts as good if its Dice is at most this much lower than the best Dice.
GOOD = 0.05


def estimate(values: np.ndarray, *names: str | int) -> Estimate:
    """Return the mean of values (microscope,), with a bootstrap over the microscopes."""
    means = resample(len(values), DRAWS, "recommend", *names) @ values / len(values)
    low, high = percentile_interval(means, interval_edges(CONFIDENCE))
    return Estimate(float(values.mean()), float(low), float(high))


@dataclass(frozen=True)
class RuleScore:
    """How good the networks are that a rule chooses.

    Attributes:
        dice: Mean true Dice of the chosen networks.
        regret: Mean difference between the best network's Dice and the chosen network's Dice.
        good: Share of microscopes with a regret of at most :data:`GOOD`.
        more: Mean regret of this rule minus mean regret of the recommended networks, with the
            interval of the differences under the same microscopes.
    """

    dice: float
    regret: Estimate
    good: float
    more: Estimate


@dataclass(frozen=True)
class Scores:
    """Scores over microscopes that are all inside, or all outside, the ranges of a study.

    Attributes:
        best: Mean true Dice of the best network for each microscope.
        rules: Scores of each rule; :data:`OURS` is the first.
        coverage: Share of networks × microscopes whose true Dice is in the interval of expected
            Dice.
        coverage_recommended: The same share for the recommended networks alone.
        half_width: Mean half-width of the intervals.
        error: Root mean square error of expected Dice, over networks × microscopes.
        optimism: Mean of expected minus true Dice of the recommended networks.
    """

    number: int
    best: float
    rules: dict[str, RuleScore] = field(default_factory=dict)
    coverage: Estimate = NOTHING
    coverage_recommended: Estimate = NOTHING
    half_width: float = np.nan
    error: float = np.nan
    optimism: float = np.nan


def scores(
    true: np.ndarray,
    mean: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    chosen: Mapping[str, np.ndarray],
) -> Scores:
    """Return the scores of expected Dice and of the networks that each rule chooses.

    Args:
        true, mean, low, high: (network, microscope), true Dice, expected Dice, and the ends of its
            interval.
        chosen: The network that each further rule chooses for each microscope, (microscope,) int.
            The recommended networks are those with the highest expected Dice.
    """
    number = true.shape[1]
    if not number:
        return Scores(0, np.nan)
    columns = np.arange(number)
    ours = mean.argmax(0)
    best = true.max(0)
    regrets = {name: best - true[rows, columns] for name, rows in {OURS: ours, **chosen}.items()}
    found = {
        name: RuleScore(
            float((best - regret).mean()),
            estimate(regret, "regret"),
            float((regret <= GOOD).mean()),
            estimate(regret - regrets[OURS], "regret"),
        )
        for name, regret in regrets.items()
    }
    covered = ((low <= true) & (true <= high)).astype(float)
    return Scores(
        number,
        float(best.mean()),
        found,
        estimate(covered.mean(0), "coverage"),
        estimate(covered[ours, columns], "coverage"),
        float((high - low).mean() / 2),
        float(np.sqrt(((mean - true) ** 2).mean())),
        float((mean - true)[ours, columns].mean()),
    )


@dataclass(frozen=True)
class Check:
    """The scores inside and outside the ranges of a study, and the seed of the microscopes.

    With `first_replicas`, the networks are the first replica of each training condition alone.
    """

    seed: int
    networks: int
    inside: Scores
    outside: Scores
    first_replicas: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the content for JSON. A missing value is None."""
        return _without_nan(asdict(self))


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nan(part) for name, part in value.items()}
    return None if isinstance(value, float) and not np.isfinite(value) else value


def check(
    networks: Networks,
    expected: xr.Dataset,
    true: xr.DataArray,
    inside: Sequence[Condition],
    outside: Sequence[Condition],
    profiles: Profiles,
    seed: int,
    first_replicas: bool = False,
) -> Check:
    """Return the scores of recommended networks and of simpler rules.

    Args:
        expected: Expected Dice `mean` and its interval, `low` and `high` (network, test); see
            :func:`passband.prediction.recommend.network_ranking.expected_dice`. The models must not
            know the true Dice of the microscopes.
        true: True Dice (network, test) of all networks under all microscopes.
        inside, outside: The microscopes inside and outside the ranges of the study.
        seed: Seed of the draws of microscopes, which is only stored.
        first_replicas: Whether the networks are first replicas alone, which is only stored.
    """
    found = []
    for microscopes in (inside, outside):
        place = {"network": list(networks.ids), "test": [c.id for c in microscopes]}
        D, *interval = (
            values.sel(place).transpose("network", "test").values
            for values in (true, *(expected[name] for name in ("mean", "low", "high")))
        )
        chosen = rules(networks, microscopes, profiles) if microscopes else {}
        best = oracle(networks, D) if microscopes else None
        if best is not None:
            chosen[ORACLE] = best
        found.append(scores(D, *interval, chosen))
    return Check(seed, len(networks.ids), *found, first_replicas)
