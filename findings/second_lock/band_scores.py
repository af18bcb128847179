"""What follows from the Dice of the arms of the intervention, see bands.py."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from findings.second_lock import scores
from findings.second_lock.lattices import DOSES, OF_DOSE
from findings.second_lock.scores import Mean

#: Arms that may become advice, and the one that they are compared with.
UNCUT = "cut in training only"
CANDIDATES = ("cut", UNCUT, "noise")
REFERENCE = "doses"
#: The arms in the order of tables, and the differences of gaps that claims are about.
ARMS = ("plain", "cut", "control", *CANDIDATES[1:], REFERENCE)
DIFFERENCES = ("plain", "cut"), ("control", "cut"), ("plain", "control")
#: The claims' limits.
CLOSED = 1 / 2
CONTROL_CLOSES = 1 / 3
ADVICE = 0.005
SIGNIFICANT = 0.05
#: The dose of the tests of the claim [e/Å²].
JUDGED = DOSES[0]


def advice_of(name: str) -> str:
    """Return the name of an arm's networks under the tests of the advice."""
    return f"{name}, advice"


def gaps(dice: np.ndarray) -> np.ndarray:
    """Return Dice(low T²) − Dice(high T²) of each pair under the tests of each dose.

    Args:
        dice: (condition, replica, test), the conditions pair by pair.

    Returns:
        (dose, pair).
    """
    D = dice.mean(1)
    apart = D[::2] - D[1::2]
    return apart.reshape(len(apart), len(DOSES), OF_DOSE).mean(2).T


def result(dice: Mapping[str, np.ndarray], home: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return all numbers and the claims.

    Args:
        dice: By arm, (condition, replica, test), Dice, mean over structures.
        home: By arm, (condition, replica), the same under the own conditions.
    """
    of_gaps = {name: gaps(dice[name]) for name in ARMS}
    by_dose = {}
    for place, dose in enumerate(DOSES):
        by_dose[f"{dose}"] = {
            "gaps": {name: asdict(Mean.of(each[place])) for name, each in of_gaps.items()},
            "differences": {
                f"{a} - {b}": asdict(Mean.of(of_gaps[a][place] - of_gaps[b][place]))
                for a, b in DIFFERENCES
            },
        }
    reference = dice[advice_of(REFERENCE)].mean(1)
    advice = scores.adjusted(
        {name: scores.mean(dice[advice_of(name)].mean(1) - reference) for name in CANDIDATES}
    )
    return {
        "doses": by_dose,
        "home": {name: float(home[name].mean()) for name in of_gaps},
        "advice": {
            "dice": {
                name: float(dice[advice_of(name)].mean()) for name in (*CANDIDATES, REFERENCE)
            },
            "differences": {name: each.values() for name, each in advice.items()},
        },
        "claims": {
            "the fringe causes it": cause(**by_dose[f"{JUDGED}"]),
            "it is advice": scores.claim(
                any(
                    each.value >= ADVICE and each.is_above and each.p_holm < SIGNIFICANT
                    for each in advice.values()
                ),
                not any(each.is_above for each in advice.values()),
            ),
        },
    }


def cause(
    gaps: Mapping[str, Mapping[str, float]], differences: Mapping[str, Mapping[str, float]]
) -> dict[str, Any]:
    """Return whether the fringe causes the gap, from means over pairs."""
    plain = gaps["plain"]
    closed = differences["plain - cut"]
    of_control = differences["plain - control"]
    beyond = differences["control - cut"]
    shares = {
        "closed": closed["value"] / plain["value"],
        "closed by the control": of_control["value"] / plain["value"],
    }
    if plain["low"] <= 0 <= plain["high"]:
        return scores.claim(False, False, **shares)
    return scores.claim(
        plain["low"] > 0 and shares["closed"] >= CLOSED and beyond["low"] > 0,
        closed["low"] <= 0 or shares["closed by the control"] >= CONTROL_CLOSES,
        **shares,
    )
