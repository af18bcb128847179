"""Blocks of `grid` for mixtures: distributions of conditions under which networks are trained."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, create_model

from passband.axes import AXES, MAIN_AXES
from passband.config.base import (
    Given,
    Numbers,
    axis_keys,
    first_repeated,
    key,
    number_type,
    short,
)
from passband.config.drawn import is_range
from passband.config.microscope import Microscope
from passband.config.study_file import MOST_IN_LIST
from passband.grid import Axes, Condition
from passband.mixtures import Mixture

#: Largest difference between 1 and the sum of weights.
_ROUNDING = 1e-6


def _range(name: str) -> Any:
    """Return the type of a range of an axis in a mixture: two values, or one value."""

    def pair(value: Any) -> Any:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return [value, value] if is_number else value

    def check(ends: list[float]) -> list[float]:
        if len(ends) != 2 or ends[0] > ends[1]:
            raise ValueError(
                f"{short(ends)}: must be the lowest and the highest value, such as [5, 40], or a "
                "number"
            )
        return ends

    return Annotated[list[number_type(name)], BeforeValidator(pair), AfterValidator(check)]


MixtureRanges = create_model(
    "MixtureRanges",
    __base__=Numbers,
    __doc__="The ranges of a mixture: `[lowest, highest]`, or a number, for each axis.",
    **axis_keys(_range),
)
WeightedPoint = create_model(
    "WeightedPoint",
    __base__=Numbers,
    __doc__="A condition of a mixture.",
    weight=(
        float | None,
        key(None, "Probability of the condition. Without weights, all are equal.", gt=0, le=1),
    ),
    **axis_keys(number_type),
)


def _named(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,23}", name):
        raise ValueError(
            f"{short(name)}: must be 1 to 24 small letters, digits or '-', beginning with a letter"
        )
    return name


class MixtureKeys(Given):
    """A distribution of conditions. Each training image has its own condition.

    A mixture has one of the keys `over`, `ranges` and `points`.
    """

    name: Annotated[str, AfterValidator(_named)] = key(
        "all",
        "Name of the mixture, with which the id of its networks begins: 1 to 24 small letters, "
        "digits or '-'.",
    )
    over: Literal["grid"] | None = key(
        None, "`grid`: all other training conditions of the study, evenly."
    )
    ranges: MixtureRanges | None = key(
        None, "Ranges of parameters, which are independent. The dose is even in its logarithm."
    )
    points: list[WeightedPoint] | None = key(
        None, "Conditions with weights, such as `[{defocus_nm: 12, ..., weight: 0.7}, ...]`."
    )

    def _check_values(self) -> None:
        names = ("over", "ranges", "points")
        given = [name for name in names if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) if given else "none"
            raise ValueError(
                f"{given[-1] if given else 'over'}: a mixture has one of the keys over, ranges and "
                f"points; found {found}"
            )
        if self.ranges is not None:
            _check_axes("ranges", self.ranges.axes())
        if self.points is not None:
            self._check_points(self.points)

    def _check_points(self, points: Sequence[Any]) -> None:
        check_points([point.axes() for point in points], _check_axes)
        weights = [point.weight for point in points]
        lacking = [number for number, weight in enumerate(weights) if weight is None]
        if lacking and len(lacking) < len(points):
            raise ValueError(
                f"points[{lacking[0]}].weight: missing; give all points a weight, or none"
            )
        if not lacking and abs(sum(weights) - 1) > _ROUNDING:
            raise ValueError(f"points: the weights sum to {sum(weights):.6g}; must sum to 1")


def check_points(
    given: Sequence[dict[str, Any]], check: Callable[[str, dict[str, Any]], None]
) -> None:
    """Check the number of points, each point with its place by `check`, and that they differ."""
    if not 0 < len(given) <= MOST_IN_LIST:
        raise ValueError(f"points: has {len(given):,} points; must have 1 to {MOST_IN_LIST:,}")
    for number, axes in enumerate(given):
        check(f"points[{number}]", axes)
    every = [tuple(axes.items()) for axes in given]
    if (twice := first_repeated(every)) is not None:
        first = every.index(twice)
        second = every.index(twice, first + 1)
        raise ValueError(f"points[{second}]: is the same point as points[{first}]")


def _check_axes(place: str, given: dict[str, Any]) -> None:
    for name in MAIN_AXES:
        if name not in given:
            raise ValueError(f"{place}.{name}: missing; a mixture needs {name}")


class MixtureBlock(Given):
    """A block of `grid` with a mixture."""

    mixture: MixtureKeys = key(MixtureKeys, "The mixture.")

    def distribution(self, conditions: Sequence[Condition], axes: Axes) -> Mixture:
        """Return the mixture, from the training conditions of the other blocks."""
        given = self.mixture
        if given.over:
            return Mixture(given.name, tuple((c, 1 / len(conditions)) for c in conditions))
        if given.ranges is not None:
            ranges = tuple((name, *ends) for name, ends in given.ranges.axes().items())
            return Mixture(given.name, (), ranges, axes)
        weights = [1.0 if point.weight is None else point.weight for point in given.points]
        points = {
            axes.condition(point.axes()): weight / sum(weights)
            for point, weight in zip(given.points, weights, strict=True)
        }
        return Mixture(given.name, tuple(sorted(points.items())))

    def extremes(self) -> dict[str, list[dict[str, list[float]]]]:
        """Return the given axes by their place below the block, each as values from low to high.

        `over` has none, since the other blocks check their conditions themselves.
        """
        given = self.mixture
        if given.over:
            return {}
        if given.ranges is not None:
            return {"mixture.ranges": given.ranges.axes()}
        return {
            f"mixture.points[{number}]": {name: [value] for name, value in point.axes().items()}
            for number, point in enumerate(given.points)
        }


def configuration_of(mixture: Mixture) -> dict[str, dict]:
    """Return a block of `grid` that makes a mixture with the same id."""
    if mixture.ranges:
        given = {"ranges": {name: [low, high] for name, low, high in mixture.ranges}}
    else:
        points = [
            Condition.parse(condition.id).values() | {"weight": weight}
            for condition, weight in mixture.points
        ]
        given = {"points": points}
    return {"mixture": {"name": mixture.name, **given}}


def check(blocks: Mapping[str, MixtureBlock], number: int, microscope: Microscope) -> None:
    """Check the mixtures of `grid` together.

    Args:
        blocks: The mixtures, by their place in the configuration.
        number: The number of training conditions of the other blocks.

    Raises:
        ValueError: If two mixtures have the same name, if there are only mixtures, if a mixture has
            an axis that needs other exit waves, or if two points of a mixture are the same
            condition. The message is one line, which begins with a key.
    """
    places: dict[str, str] = {}
    for place, block in blocks.items():
        name = block.mixture.name
        if (first := places.setdefault(name, place)) != place:
            raise ValueError(
                f"{place}.mixture.name = {name!r}: is the name of {first} too; choose another"
            )
    if blocks and not number:
        raise ValueError(
            f"{next(iter(blocks))} = {{mixture: ...}}: needs a condition beside it; add a block of "
            "grid with conditions"
        )
    study_axes = Axes(microscope.axis_values)
    for place, block in blocks.items():
        for where, axes in block.extremes().items():
            for name, values in axes.items():
                # The own value changes nothing. Each specimen may have another own value.
                if AXES[name].needs_waves and set(values) != {study_axes.own.get(name)}:
                    raise ValueError(
                        f"{place}.{where}.{name} = {short(values)}: needs other exit waves; a "
                        "mixture can have only axes that act behind the exit wave"
                    )
                if name in study_axes.own and is_range(microscope.at(AXES[name].path)):
                    raise ValueError(
                        f"{place}.{where}.{name} = {short(values)}: is already a range, "
                        f"{AXES[name].key}; a mixture cannot have both"
                    )
        _check_conditions(f"{place}.mixture.points", block.mixture.points or (), study_axes)


def _check_conditions(place: str, points: Sequence[Any], axes: Axes) -> None:
    """Refuse two points that differ only in whether they have an axis's own value."""
    before: dict[Condition, int] = {}
    for number, point in enumerate(points):
        condition = axes.condition(point.axes())
        first = before.setdefault(condition, number)
        if first != number:
            differ = point.axes().keys() ^ points[first].axes().keys()
            named = ", ".join(f"{name} = {axes.own[name]:g}" for name in AXES if name in differ)
            raise ValueError(
                f"{place}[{number}]: is the same condition as points[{first}], since the "
                f"study itself has {named}; keep one of the points"
            )
