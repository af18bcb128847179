"""How good recommended networks are: Dice under microscopes that the models have not seen.

Microscopes are drawn within the ranges of a study and beyond them, see
:mod:`passband.prediction.recommend.microscopes`, and all networks are tested there. This module
compares the recommended networks with the rules of
:mod:`findings.choosing.rules`. No structure both chooses and judges networks: each rule knows the
Dice on one half of the test structures, and the other half judges its choices; then the halves are
exchanged. :mod:`findings.choosing.drawn_check` tests the networks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from findings.choosing.rules import Networks, recommended, rules
from passband.analysis.bootstrap import NOTHING, Estimate
from passband.grid import Condition
from passband.prediction.recommend.network_ranking import COVERAGE, ProfilesOf
from passband.prediction.recommend.recommendation_scores import CONFIDENCE, estimate
from passband.reports.markdown import NONE, number, table

#: Name of the rule that this module checks, and of one that knows more than a user can know:
#: the Dice of all networks under the microscope itself, on the structures that choose.
OURS, ORACLE = "recommended", "tested there"
#: The rule that a user can follow without any model. Its name is older than that of its distance,
#: parameters by range, see docs/metrics.md.
NEAREST = "nearest in scaled parameters"
#: A chosen network counts as good if its Dice is at most this much lower than that of
#: the network chosen by :data:`ORACLE`.
GOOD = 0.05


@dataclass(frozen=True)
class Half:
    """What one half of the test structures says, and the Dice on the other half.

    Attributes:
        dice: (network, test), mean Dice of this half under the test conditions of the table.
        expected: (network, microscope), Dice that models expect which know `dice`.
        known: (network, microscope), Dice of this half under the microscopes.
        true: (network, microscope), Dice of the other half, which judges.
    """

    dice: np.ndarray
    expected: np.ndarray
    known: np.ndarray
    true: np.ndarray


@dataclass(frozen=True)
class RuleScore:
    """How good the networks are that a rule chooses.

    Attributes:
        dice: Mean Dice of the chosen networks.
        good: Share of microscopes with a Dice at most :data:`GOOD` below that of :data:`ORACLE`.
        behind: Mean Dice of the recommended networks minus that of this rule's, with the interval
            of the differences under the same microscopes.
    """

    dice: Estimate
    good: float
    behind: Estimate


@dataclass(frozen=True)
class Scores:
    """Scores over microscopes that are all inside, or all outside, the ranges of a study.

    Attributes:
        rules: Scores of each rule on structures that it does not know; :data:`OURS` is the first.
        coverage: Share of networks × microscopes whose true Dice is in the interval of expected
            Dice. As in a recommendation, this and what follows is for all test structures.
        coverage_recommended: The same share for the recommended networks alone.
        half_width: Mean half-width of the intervals.
        error: Root mean square error of expected Dice, over networks × microscopes.
        optimism: Mean of expected minus true Dice of the recommended networks.
    """

    number: int
    rules: dict[str, RuleScore] = field(default_factory=dict)
    coverage: Estimate = NOTHING
    coverage_recommended: Estimate = NOTHING
    half_width: float = np.nan
    error: float = np.nan
    optimism: float = np.nan


def rule_scores(halves: Sequence[tuple[np.ndarray, Mapping[str, np.ndarray]]]) -> dict:
    """Return the score of each rule by its name.

    Args:
        halves: For each half of the structures, Dice (network, microscope) on the other half, and
            the network that each rule chooses for each microscope, (microscope,) int.
    """
    columns = np.arange(halves[0][0].shape[1])
    D = {
        name: np.mean([true[chosen[name], columns] for true, chosen in halves], 0)
        for name in halves[0][1]
    }
    return {
        name: RuleScore(
            estimate(values, "dice"),
            float((values >= D[ORACLE] - GOOD).mean()),
            estimate(D[OURS] - values, "dice"),
        )
        for name, values in D.items()
    }


def scores(
    true: np.ndarray,
    mean: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    ours: np.ndarray,
    rules: Mapping[str, RuleScore],
) -> Scores:
    """Return the scores of expected Dice, with those of the rules.

    Args:
        true, mean, low, high: (network, microscope), true Dice, expected Dice, and the ends of its
            interval, all for the same structures.
        ours: (microscope,) int, the recommended networks.
    """
    columns = np.arange(true.shape[1])
    covered = ((low <= true) & (true <= high)).astype(float)
    return Scores(
        len(columns),
        dict(rules),
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
    expected: Sequence[np.ndarray],
    true: np.ndarray,
    halves: Sequence[Half],
    inside: Sequence[Condition],
    outside: Sequence[Condition],
    profiles: ProfilesOf,
    seed: int,
    first_replicas: bool = False,
) -> Check:
    """Return the scores of recommended networks and of simpler rules.

    The microscopes of all arrays are those of `inside` and then those of `outside`. No model knows
    a Dice under them.

    Args:
        networks: The networks, with the Dice of all test structures.
        expected: Expected Dice and the ends of its interval, each (network, microscope), from
            models that know `networks`.
        true: (network, microscope), Dice of all test structures.
        halves: The two halves of the test structures.
        inside, outside: The microscopes inside and outside the ranges of the study.
        seed: Seed of the draws of microscopes, which is only stored.
        first_replicas: Whether the networks are first replicas alone, which is only stored.
    """
    found = []
    for drawn, first in ((inside, 0), (outside, len(inside))):
        here = np.s_[:, first : first + len(drawn)]
        if not drawn:
            found.append(Scores(0))
            continue
        chosen = [
            {OURS: recommended(networks, half.expected[here])}
            | rules(replace(networks, dice=half.dice), drawn, profiles)
            | {ORACLE: half.known[here].argmax(0)}
            for half in halves
        ]
        judged = zip((half.true[here] for half in halves), chosen, strict=True)
        intervals = [values[here] for values in expected]
        ours = recommended(networks, intervals[0])
        found.append(scores(true[here], *intervals, ours, rule_scores(list(judged))))
    return Check(seed, len(networks.ids), *found, first_replicas)


_FIRST = " (the first replica of each training condition, from the table of results)"


def text(found: Check) -> str:
    """Return the scores of recommended networks and of simpler rules, as Markdown."""
    inside = found.inside
    outside = found.outside
    which = _FIRST if found.first_replicas else ""
    parts = [
        f"{inside.number} microscopes inside the ranges of the study, {outside.number} outside, "
        f"{found.networks} networks{which}, seed {found.seed}. Networks are chosen by their Dice "
        "on one half of the test structures and judged on the other half, both ways. Microscopes "
        "with less than half of the lowest tested dose are left out, since nothing is recommended "
        "for them.",
        _rules(inside),
        _intervals(inside, outside),
        f"Numbers in parentheses are {CONFIDENCE:.0%} bootstrap intervals over microscopes. "
        f"“{ORACLE}” chooses by the Dice of all networks under the microscope itself.",
    ]
    return "\n\n".join(parts)


def _rules(scores: Scores) -> str:
    head = ["network chosen by", "Dice", "recommended minus this", f"within {GOOD:g} of {ORACLE}"]
    rows = [
        [
            name,
            _estimate(rule.dice),
            _estimate(rule.behind, "z.4f") if name != OURS else NONE,
            f"{rule.good:.1%}",
        ]
        for name, rule in scores.rules.items()
    ]
    return table(head, rows)


def _intervals(inside: Scores, outside: Scores) -> str:
    of_both = [
        {
            f"coverage of {COVERAGE:.0%} intervals, all networks": _estimate(s.coverage, ".1%"),
            "coverage, recommended networks": _estimate(s.coverage_recommended, ".1%"),
            "mean half-width of the intervals": number(s.half_width),
            "error of expected Dice (root mean square)": number(s.error),
            "expected − true Dice, recommended network": number(s.optimism),
            "Dice of the recommended network, on the other half": _estimate(
                s.rules[OURS].dice if s.rules else NOTHING
            ),
            f"recommended minus {NEAREST}": _estimate(
                s.rules[NEAREST].behind if s.rules else NOTHING, "z.4f"
            ),
        }
        for s in (inside, outside)
    ]
    return table(["", "inside", "outside"], [[n, *(of[n] for of in of_both)] for n in of_both[0]])


def _estimate(estimate: Estimate, form: str = "z.3f") -> str:
    if not estimate:
        return NONE
    value, low, high = (format(x, form) for x in (estimate.value, estimate.low, estimate.high))
    return f"{value} ({low} to {high})"
