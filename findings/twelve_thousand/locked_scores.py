"""The scores of the locked set, as protocol.md defines them."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from passband.analysis.bootstrap import percentile_interval, resample
from passband.prediction.matrix import interaction

#: Number of conditions inside, and the conditions outside by the changed axis.
INSIDE = 200
OUTSIDE = {
    "aperture below": slice(200, 210),
    "dose below": slice(210, 220),
    "dose above": slice(220, 230),
    "defocus below": slice(230, 235),
    "defocus above": slice(235, 240),
}
#: Bootstrap samples, and those of the interaction, which takes longer.
DRAWS, FEWER = 10_000, 2_000
#: Conditions with an aperture below this [mrad] are printed apart.
NARROW_MRAD = 8.5

#: The secondary comparisons: two lines and the cells. The second line is subtracted.
SECONDARY = (
    ("T(q) in bands", "scaled", "new tests"),
    ("T(q) in bands", "scaled", "new structures"),
    ("T(q) in bands", "scaled", "interaction"),
    ("T(q) in bands", "T(q), bits and dose", "primary"),
    ("T(q) in bands", "nearest", "primary"),
    ("T(q) in bands", "raw", "primary"),
    ("mean of both", "T(q) in bands", "primary"),
)


def r2(true: np.ndarray, predicted: np.ndarray, *weights: np.ndarray) -> np.ndarray:
    """Return R² of a predicted matrix (train, test), in each bootstrap sample if there are some.

    Args:
        *weights: (draws, train), and (draws, test) if both sides are resampled.
    """
    terms = np.stack([np.ones_like(true), true, true**2, (true - predicted) ** 2])
    if not weights:
        sums = terms.sum((1, 2))
    elif len(weights) == 1:
        sums = terms.sum(2) @ weights[0].T
    else:
        sums = np.einsum("dr,krc,dc->kd", weights[0], terms, weights[1], optimize=True)
    number, of, squares, errors = sums
    return 1 - errors / (squares - of**2 / number)


def within_tests(D: np.ndarray) -> np.ndarray:
    """Return a matrix (train, test) without the mean of each test."""
    return D - D.mean(0)


def _interaction(true: np.ndarray, predicted: np.ndarray, doses: tuple) -> float:
    of_true, of_error = (interaction.components(D, doses) for D in (true, true - predicted))
    error, total = (float((each["interaction"] ** 2).sum()) for each in (of_error, of_true))
    return 1 - error / total


def p_value(samples: np.ndarray) -> float:
    """Return twice the smaller share of samples on one side of 0, at least 2/(draws + 1)."""
    side = min((samples <= 0).sum(), (samples >= 0).sum())
    return float(min(1, 2 * (side + 1) / (len(samples) + 1)))


def holm(p: list[float]) -> list[float]:
    """Return adjusted p-values (Holm 1979)."""
    order = np.argsort(p)
    adjusted = np.maximum.accumulate(np.array(p)[order] * np.arange(len(p), 0, -1))
    found = np.empty(len(p))
    found[order] = np.minimum(adjusted, 1)
    return found.tolist()


def result(
    predicted: Mapping[str, np.ndarray],
    dice: Mapping[str, np.ndarray],
    log_dose: np.ndarray,
    new_test_log_dose: np.ndarray,
    old_test_log_dose: np.ndarray,
    aperture: np.ndarray,
) -> dict[str, Any]:
    """Return all results of the locked set.

    Args:
        predicted: Dice by the name of each line, each (train, old tests and then new tests), and
            the ends `low` and `high` of the intervals.
        dice: `old` and `new` (train, replica, test), the mean over the old and the new structures.
        log_dose: (train,), log10 of the dose in e/Å², and so on for the tests.
        aperture: (train,) [mrad].
    """
    lines = {name: D for name, D in predicted.items() if name not in ("low", "high")}
    ends = predicted["low"], predicted["high"]
    old = len(old_test_log_dose)
    of_old, of_new = dice["old"].mean(1), dice["new"].mean(1)
    inside, first, later = slice(INSIDE), slice(old), slice(old, None)
    rows = resample(INSIDE, DRAWS, "locked set", "train")
    columns = resample(len(new_test_log_dose), DRAWS, "locked set", "test")
    doses = 10 ** log_dose[inside], 10**old_test_log_dose
    new_doses = 10 ** log_dose[inside], 10**new_test_log_dose

    def primary(D: np.ndarray, *weights: np.ndarray) -> np.ndarray:
        return r2(of_old[inside, first], D[inside, first], *weights)

    def new_tests(D: np.ndarray, *weights: np.ndarray) -> np.ndarray:
        return r2(of_old[inside, later], D[inside, later], *weights, *(columns,) * len(weights))

    def new_structures(D: np.ndarray, *weights: np.ndarray) -> np.ndarray:
        both = (within_tests(each[inside, first]) for each in (of_new, D))
        return r2(*both, *weights)

    def of_interaction(D: np.ndarray, *weights: np.ndarray) -> np.ndarray | float:
        if not weights:
            return _interaction(of_old[inside, first], D[inside, first], doses)
        found = []
        for counts in weights[0][:FEWER].astype(int):
            k = np.repeat(np.arange(INSIDE), counts)
            both = of_old[inside, first][k], D[inside, first][k]
            found.append(_interaction(*both, (doses[0][k], doses[1])))
        return np.array(found)

    cells: dict[str, Callable] = {
        "primary": primary,
        "new tests": new_tests,
        "new structures": new_structures,
        "interaction": of_interaction,
    }

    def compared(one: str, other: str, where: str) -> dict[str, Any]:
        score = cells[where]
        samples = score(lines[one], rows) - score(lines[other], rows)
        return {
            "lines": f"{one} - {other}",
            "cells": where,
            "difference": float(score(lines[one]) - score(lines[other])),
            "interval": [float(x) for x in percentile_interval(samples, [0.025, 0.975])],
            "p": p_value(samples),
        }

    first_of_all = compared("T(q) in bands", "scaled", "primary")
    secondary = [compared(*each) for each in SECONDARY]
    for each, adjusted in zip(secondary, holm([each["p"] for each in secondary]), strict=True):
        each["p_holm"] = adjusted

    def scores_of(D: np.ndarray) -> dict[str, Any]:
        primary_cells = (
            of_old[inside, first],
            D[inside, first],
            doses,
            dice["old"][inside, :, first],
        )
        narrow = np.flatnonzero(aperture[inside] < NARROW_MRAD)
        wide = np.flatnonzero(aperture[inside] >= NARROW_MRAD)
        on_new = interaction.scores(
            of_old[inside, later], D[inside, later], new_doses, dice["old"][inside, :, later]
        )
        return {
            "primary": interaction.scores(*primary_cells),
            "new tests": on_new,
            "new structures": float(new_structures(D)),
            **{
                name: float(r2(of_old[k][:, first], D[k][:, first]))
                for name, k in (("narrow aperture", narrow), ("wide aperture", wide))
            },
            "outside": {
                name: float(r2(of_old[k, first], D[k, first])) for name, k in OUTSIDE.items()
            },
        }

    def covered(rows: slice, tests: slice) -> dict[str, float]:
        true, (low, high) = of_old[rows, tests], (end[rows, tests] for end in ends)
        there = (low <= true) & (true <= high)
        return {"coverage": float(there.mean()), "half_width": float((high - low).mean() / 2)}

    outside = slice(INSIDE, None)
    return {
        "old_tests": old,
        "primary": first_of_all | {"holds": first_of_all["interval"][0] > 0},
        "secondary": secondary,
        "lines": {name: scores_of(D) for name, D in lines.items()},
        "intervals": {
            "inside": covered(inside, first),
            "inside, new tests": covered(inside, later),
            "outside": covered(outside, first),
            **{name: covered(k, first) for name, k in OUTSIDE.items()},
        },
    }
