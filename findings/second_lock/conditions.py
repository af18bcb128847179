"""Conditions that are drawn from the protocol's digest."""

from collections.abc import Iterable, Mapping

import numpy as np

from findings.second_lock.locked import digest
from findings.twelve_thousand.locked import INSIDE
from passband.axes import MAIN_AXES
from passband.config import Study
from passband.grid import Condition
from passband.seeds import generator

Ranges = Mapping[str, tuple[float, float]]
DOSE = "dose_e_per_A2"
#: The ranges of the further axes of part 1, by the name of the group of tests.
FURTHER: Mapping[str, Ranges] = {
    "astigmatism": {"astigmatism_nm": (2, 15), "astigmatism_deg": (0, 180)},
    "focal spread": {"focal_spread_nm": (0.5, 12)},
    "vibration": {"vibration_A": (0.3, 1)},
    "MTF": {"mtf_nyquist": (0.1, 0.6)},
}
#: The tests of each group.
NUMBER = 40
#: The groups of part 1, in the order of its tests.
GROUPS = (*FURTHER, "two")


def random(name: str) -> np.random.Generator:
    """Return the random numbers of a draw of the protocol."""
    return generator("second lock", digest(), name)


def points(of: np.random.Generator, number: int, ranges: Ranges = INSIDE) -> list[dict[str, float]]:
    """Draw points, uniform in ranges and for the dose in its logarithm, rounded to 0.01.

    The random numbers are drawn point by point, in the order of the axes of `ranges`.
    """
    found = []
    for u in of.random((number, len(ranges))):
        point = {}
        for x, (name, (low, high)) in zip(u, ranges.items(), strict=True):
            value = low * (high / low) ** x if name == DOSE else low + x * (high - low)
            point[name] = float(np.round(value, 2))
        found.append(point)
    return found


def tests(study: Study) -> dict[str, list[Condition]]:
    """Return the tests of part 1 by the name of their group.

    Args:
        study: Has the own values of the further axes, see :func:`lens_or_image.study`.
    """
    found = {}
    for group in GROUPS:
        of = random(f"part 1, {group}")
        if group in FURTHER:
            drawn = points(of, NUMBER, {**INSIDE, **FURTHER[group]})
        else:
            drawn = []
            for point in points(of, NUMBER):
                names = of.choice(list(FURTHER), 2, replace=False)
                further = [points(of, 1, FURTHER[name])[0] for name in sorted(names)]
                drawn.append({**point, **further[0], **further[1]})
        found[group] = [study.axes.condition(point) for point in drawn]
    return found


def doses(conditions: Iterable[Condition]) -> np.ndarray:
    """Return the doses of conditions [e/Å²]."""
    return np.array([each.dose_e_per_A2 for each in conditions])


def on_main_axes(conditions: list[Condition]) -> list[Condition]:
    """Return the conditions with the study's own values of all further axes."""
    return [
        condition.axes.condition({name: getattr(condition, name) for name in MAIN_AXES})
        for condition in conditions
    ]
