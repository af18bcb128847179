"""Mixtures: distributions of imaging conditions, under which networks are trained.

Each image for a network of a mixture has its own condition, which is drawn from the distribution.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate

import numpy as np

from passband.axes import AXES
from passband.grid import Axes, Condition, is_condition
from passband.seeds import digest, generator
from passband.words import span

#: Number of conditions that represent a mixture of ranges in an expectation.
MEMBERS = 128
#: The attribute of a table of results with :attr:`Mixture.content` by the mixture's id, as JSON.
MIXTURES = "mixtures"
#: The axis that is drawn evenly on a logarithmic scale.
_LOGARITHMIC = "dose_e_per_A2"


def is_mixture(id: str) -> bool:
    """Return whether a text has the form of a mixture's id."""
    return not is_condition(id)


@dataclass(frozen=True)
class Mixture:
    """A distribution of imaging conditions: conditions with weights, or ranges of parameters.

    Attributes:
        name: The name in the configuration: small letters, digits and "-".
        points: Conditions and their probabilities, whose sum is 1. Empty for a mixture of ranges.
        ranges: For each axis, its name, its lowest and its highest value. All values between them
            are equally likely, for the dose on a logarithmic scale. Axes are independent. Empty for
            a mixture of points.
    """

    name: str
    points: tuple[tuple[Condition, float], ...] = ()
    ranges: tuple[tuple[str, float, float], ...] = ()
    axes: Axes = field(default=Axes.main, compare=False, repr=False)

    @cached_property
    def id(self) -> str:
        """The name and eight digits of a hash of the distribution, such as ``soft-1c9d04aa``."""
        return f"{self.name}-{digest(self.content)[:8]}"

    @property
    def content(self) -> dict[str, dict]:
        """The distribution as JSON has it.

        Either `points` has the probability of each condition by its id, or `ranges` has the lowest
        and the highest value of each axis.
        """
        if self.ranges:
            return {"ranges": {name: [low, high] for name, low, high in self.ranges}}
        return {"points": {c.id: round(weight, 9) for c, weight in self.points}}

    def draw(self, *names: str | int) -> Condition:
        """Return a random condition. The same names always give the same condition."""
        random = generator(*names)
        if self.ranges:
            return self._at(random.random(len(self.ranges)))
        place = np.searchsorted(self._edges, random.random(), side="right")
        return self.points[min(int(place), len(self.points) - 1)][0]

    @cached_property
    def _edges(self) -> np.ndarray:
        return np.array(list(accumulate(weight for _, weight in self.points)))

    def _at(self, uniform: np.ndarray) -> Condition:
        """Return the condition at a point of the unit cube, with a coordinate for each range."""
        values = {}
        for (name, low, high), x in zip(self.ranges, uniform, strict=True):
            logarithmic = name == _LOGARITHMIC and high > low
            value = low * (high / low) ** x if logarithmic else low + (high - low) * x
            values[name] = float(np.clip(value, low, high))
        return self.axes.condition(values)

    @cached_property
    def members(self) -> dict[Condition, float]:
        """Conditions and their weights, with which an expectation over the mixture is computed.

        For a mixture of points, these are its points, and the expectation is exact. For a mixture
        of ranges, these are :data:`MEMBERS` conditions from a Latin hypercube, in which each of as
        many equally likely intervals of each axis has one condition (McKay, Beckman & Conover,
        *Technometrics* 21, 239, 1979). The mixture's id is the seed of the hypercube.
        """
        if not self.ranges:
            return dict(self.points)
        random = generator(self.id, "members")
        places = np.tile(np.arange(MEMBERS)[:, None], len(self.ranges))
        places = random.permuted(places, axis=0)
        found: dict[Condition, float] = {}
        for row in (places + random.random(places.shape)) / MEMBERS:
            condition = self._at(row)
            found[condition] = found.get(condition, 0.0) + 1 / MEMBERS
        return found

    @property
    def extremes(self) -> list[Condition]:
        """The points; or for ranges, the two conditions with all lowest and all highest values."""
        if not self.ranges:
            return [condition for condition, _ in self.points]
        ends = zip(*([low, high] for _, low, high in self.ranges), strict=True)
        names = [name for name, _, _ in self.ranges]
        return [self.axes.condition(dict(zip(names, end, strict=True))) for end in ends]

    @property
    def widest_mrad(self) -> float:
        """The largest objective aperture [mrad]."""
        return max(condition.aperture_mrad for condition in self.extremes)

    def words(self) -> str:
        """Return the distribution in a few words for people, such as ``16 conditions, evenly``."""
        if not self.ranges:
            even = len({round(weight, 9) for _, weight in self.points}) == 1
            number = len(self.points)
            return f"{number} condition{'s' * (number > 1)}{', evenly' if even else ', weighted'}"
        return ", ".join(AXES[name].named(span(low, high)) for name, low, high in self.ranges)


def attributes(mixtures: Iterable[Mixture]) -> dict[str, str]:
    """Return the attribute :data:`MIXTURES` of a table of results; none without mixtures."""
    contents = {mixture.id: mixture.content for mixture in mixtures}
    return {MIXTURES: json.dumps(contents)} if contents else {}


def of_id(mixtures: Iterable[Mixture], id: str) -> Condition | Mixture:
    """Return the condition or the mixture with an id; ValueError if it is neither."""
    if not is_mixture(id):
        return Condition.parse(id)
    for mixture in mixtures:
        if mixture.id == id:
            return mixture
    raise ValueError(f"{id!r} is no mixture of the study")


def check_id(id: str) -> None:
    """Raise ValueError if a text is neither the id of a condition nor that of a mixture."""
    if not is_mixture(id):
        Condition.parse(id)


def expected_weights(content: Mapping[str, Mapping], ids: Sequence[str]) -> np.ndarray | None:
    """Return the weight of each test condition in the expectation over a mixture, or None.

    Args:
        content: :attr:`Mixture.content`.

    Returns:
        (conditions,) float64: the probabilities of the conditions. None if a condition of the
        mixture is no test condition, or if the mixture is one of ranges.
    """
    weights = content.get("points", {})
    if not weights or not weights.keys() <= set(ids):
        return None
    found = np.array([weights.get(id, 0.0) for id in ids])
    return found / found.sum()
