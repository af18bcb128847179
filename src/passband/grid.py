"""The grid of imaging conditions: a study's axes, its conditions and their ids."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import ClassVar

from passband.axes import AXES, FURTHER_AXES, MAIN_AXES

_MIXTURE = re.compile(r"[a-z][a-z0-9-]*-[0-9a-f]{8}")
_BY_TOKEN = {axis.token: axis for axis in AXES.values()}

#: Conditions: the values of each axis, for all combinations (Cartesian product); several such
#: products; or ids of conditions.
Conditions = Mapping[str, Sequence[float]] | Sequence[Mapping[str, Sequence[float]]] | Iterable[str]


@dataclass(frozen=True)
class Axes:
    """A study's axes, and what the ids of its conditions leave out.

    Attributes:
        own: The study's own values of its further axes.
        others: The study's own values of the further axes that it does not have, if they are known.
        ranged: The further axes for which the study has a range, of which each image has its own
            number. The own value is then the middle, which stands for the range.
    """

    own: Mapping[str, float] = field(default_factory=dict)
    others: Mapping[str, float] = field(default_factory=dict, compare=False)
    ranged: frozenset[str] = field(default=frozenset(), compare=False)

    #: The axes of a study that has no further axis.
    main: ClassVar["Axes"]

    def __post_init__(self):
        for given in ("own", "others"):
            values = getattr(self, given)
            kept = {n: a.canonical(values[n]) for n, a in FURTHER_AXES.items() if n in values}
            object.__setattr__(self, given, kept)

    @classmethod
    def of(cls, results) -> "Axes":
        """Return the axes of results, whose coordinates are from :meth:`coordinates`."""
        of_axes = {name: one.attrs for name, one in results.coords.items() if "own" in one.attrs}
        return cls({n.partition("_")[2]: float(attrs["own"]) for n, attrs in of_axes.items()})

    @property
    def names(self) -> list[str]:
        """The names of the study's axes, in the order of :data:`AXES`."""
        return [*MAIN_AXES, *self.own]

    def own_value(self, name: str) -> float:
        """Return the study's own value of a further axis; KeyError if it is not known."""
        return self.own[name] if name in self.own else self.others[name]

    def with_others(self, names: Iterable[str]) -> "Axes":
        """Return these axes and further ones, whose own values are known."""
        own = {**self.own, **{name: self.own_value(name) for name in names}}
        return Axes(own, self.others, self.ranged)

    def condition(self, values: Mapping[str, float]) -> "Condition":
        """Return the condition with the given values: of all main axes, and of any further axes."""
        own = {**self.others, **self.own}
        further = {
            name: values[name]
            for name, axis in FURTHER_AXES.items()
            if name in values and own.get(name) != axis.canonical(values[name])
        }
        main = (values[name] for name in MAIN_AXES)
        return Condition(*main, further=tuple(further.items()), axes=self)

    def asked(self, values: Mapping[str, float]) -> "Condition":
        """Return the condition that a user asks for, as :meth:`condition` does.

        A number is meant as a number, also if it is the middle of the study's range.
        """
        found = self.condition(values)
        numbers = {name: values[name] for name in self.ranged & values.keys()}
        if not numbers:
            return found
        return replace(found, further=tuple({**dict(found.further), **numbers}.items()))

    def parse(self, id: str) -> "Condition":
        """Return the condition with the given id; ValueError if it is not the id of a condition."""
        values = values_in(id)
        if not MAIN_AXES.keys() <= values.keys():
            raise ValueError(f"{id!r} is not the id of a condition")
        main = [values.pop(name) for name in MAIN_AXES]
        condition = Condition(*main, further=tuple(values.items()), axes=self)
        if condition.id != id:
            raise ValueError(f"{id!r} is not the id of a condition; write {condition.id!r}")
        return condition

    def conditions(self, given: Conditions) -> list["Condition"]:
        """Return the conditions of products of axes, or of ids, sorted by their values.

        The conditions of a product are all combinations of its values, in the units of the axes. A
        condition of several products occurs once.
        """
        found: set[Condition] = set()
        for part in [given] if isinstance(given, Mapping) else given:
            if isinstance(part, str):
                found.add(self.parse(part))
            else:
                every = product(*part.values())
                found |= {self.condition(dict(zip(part, each, strict=True))) for each in every}
        return ordered(found)

    def order(self, ids: Iterable[str]) -> list[str]:
        """Return the ids of conditions, sorted by their values, and then those of mixtures."""
        conditions, mixed = set(), set()
        for id in ids:
            (conditions if is_condition(id) else mixed).add(id)
        return [*(condition.id for condition in self.conditions(conditions)), *sorted(mixed)]

    def coordinates(self, ids: Iterable[str], dimension: str) -> dict[str, tuple]:
        """Return xarray coordinates with the imaging parameters of conditions.

        They are NaN for a mixture, whose id is that of no condition.

        Returns:
            For the name of each coordinate, which is ``{dimension}_{axis name}``, ``(dimension,
            values, attrs)``. `attrs` has the unit and the long name of the imaging parameter, and
            for a further axis the study's own value, `own`.
        """
        every = [self.parse(id) if is_condition(id) else None for id in ids]
        return {
            f"{dimension}_{name}": (
                dimension,
                [math.nan if each is None else each.value(name) for each in every],
                {"units": AXES[name].unit, "long_name": AXES[name].label}
                | ({"own": self.own[name]} if name in self.own else {}),
            )
            for name in self.names
        }


Axes.main = Axes()


@dataclass(frozen=True, order=True)
class Condition:
    """An imaging condition χ. Each value is rounded to a multiple of its axis's resolution.

    Conditions are sorted by their values, first by defocus. The sorted ids of conditions have the
    same order as the sorted conditions, with one exception: among the ids, negative values of an
    axis come after its positive values and are sorted by magnitude.

    A condition has a value of each axis of its study. Those that equal the study's own values are
    in `axes` alone, so that conditions are equal if their ids are.

    Attributes:
        further: Names and values of the further axes whose value differs from the study's own, in
            the order of :data:`AXES`. A mapping of names to values is accepted too.
        axes: The axes of the condition's study.

    Example:
        >>> passband.Condition(5, 1.2, 10, 100).id
        'df+0005.00_cs+0001.200_ap010.00_ds000100.00'
    """

    defocus_nm: float
    cs_um: float
    aperture_mrad: float
    dose_e_per_A2: float
    further: tuple[tuple[str, float], ...] = ()
    axes: Axes = field(default=Axes.main, compare=False, repr=False)

    def __post_init__(self):
        for axis in MAIN_AXES.values():
            object.__setattr__(self, axis.name, axis.canonical(getattr(self, axis.name)))
        given = dict(self.further)
        if unknown := sorted(given.keys() - FURTHER_AXES.keys()):
            raise ValueError(f"{unknown[0]!r} is not a further axis")
        values = ((axis, given[axis.name]) for axis in FURTHER_AXES.values() if axis.name in given)
        further = tuple((axis.name, axis.canonical(value)) for axis, value in values)
        object.__setattr__(self, "further", further)

    def value(self, name: str) -> float:
        """Return the value of an axis; KeyError if it is the study's own and is not known."""
        if name in MAIN_AXES:
            return getattr(self, name)
        found = dict(self.further)
        return found[name] if name in found else self.axes.own_value(name)

    def values(self) -> dict[str, float]:
        """Return the values of all axes of the study, in the order of :data:`AXES`.

        If the condition has another value than the study's own of an axis that the study does not
        have, this axis is one of them.
        """
        further = {**self.axes.own, **dict(self.further)}
        main = {name: getattr(self, name) for name in MAIN_AXES}
        return main | {name: further[name] for name in FURTHER_AXES if name in further}

    def numbers(self) -> dict[str, float]:
        """Return :meth:`values` without those of axes for which the study has a range."""
        ranges = self.axes.ranged - dict(self.further).keys()
        return {name: value for name, value in self.values().items() if name not in ranges}

    @property
    def words(self) -> str:
        """The condition for people, such as ``12 nm · 5 µm · 15 mrad · 400 e/Å²``.

        The unit shows which of the main axes a number belongs to. Further axes have their names.
        """
        return " · ".join(
            ("" if name in MAIN_AXES else f"{AXES[name].label} ") + AXES[name].words(f"{x:g}")
            for name, x in self.values().items()
        )

    @property
    def id(self) -> str:
        """The condition's id, such as ``df+0020.00_cs+0001.200_ap020.00_ds000400.00``.

        The values of further axes come after these four, such as ``_as0005.000``.
        """
        main = (axis.format(getattr(self, axis.name)) for axis in MAIN_AXES.values())
        return "_".join([*main, *(FURTHER_AXES[name].format(x) for name, x in self.further)])

    @classmethod
    def parse(cls, id: str) -> "Condition":
        """Return the condition with an id outside any study, see :meth:`Axes.parse`."""
        return Axes.main.parse(id)


def values_in(id: str) -> dict[str, float]:
    """Return the values of axes in an id; ValueError if it has another part."""
    values = {}
    for token in id.split("_"):
        match = re.fullmatch(r"([a-z]+)([+-]?\d+\.\d+)", token, re.ASCII)
        if not match or match[1] not in _BY_TOKEN:
            raise ValueError(f"{id!r} is not the id of a condition")
        values[_BY_TOKEN[match[1]].name] = float(match[2])
    return values


def ordered(conditions: Iterable[Condition]) -> list[Condition]:
    """Return conditions sorted by their values of all axes, in the order of :data:`AXES`."""
    return sorted(conditions, key=lambda condition: tuple(condition.values().items()))


def along(results, dimension: str) -> list[Condition]:
    """Return the conditions along a dimension of results, without the rows of mixtures."""
    ids, axes = map(str, results[dimension].values), Axes.of(results)
    return [axes.parse(id) for id in ids if is_condition(id)]


def is_condition(id: str) -> bool:
    """Return whether the id of a row of results does not have the form of a mixture's id.

    The id of a mixture is that of :attr:`passband.mixtures.Mixture.id`.
    """
    return _MIXTURE.fullmatch(id) is None


def of_conditions(data):
    """Return results (Dataset or DataArray) without the rows of mixtures along `train`."""
    if "train" not in data.dims:
        return data
    kept = [is_condition(str(id)) for id in data["train"].values]
    return data if all(kept) else data.isel(train=[k for k, keep in enumerate(kept) if keep])


def axes_of(data) -> list[str]:
    """Return the names of a study's axes, in the order of :data:`AXES`.

    `data` has results with the coordinates from :meth:`Axes.coordinates`.
    """
    sides = ("train", "test")
    return [name for name in AXES if any(f"{side}_{name}" in data.coords for side in sides)]


def are_scattered(conditions: Iterable[Condition]) -> bool:
    """Return whether conditions are points that have almost no neighbours along any axis.

    In a product of several axes that vary, each condition has neighbours along each of them: these
    conditions differ in this axis only. Conditions are scattered if several axes vary and most
    conditions have no neighbour.
    """
    return has_few_neighbours([tuple(condition.values().values()) for condition in conditions])


def has_few_neighbours(rows: Sequence[tuple[float, ...]]) -> bool:
    """Return whether most conditions differ from all others in several axes, if several vary."""
    varied = [k for k in range(len(rows[0])) if len({row[k] for row in rows}) > 1]
    if len(varied) < 2:
        return False
    lonely = set(range(len(rows)))
    for k in varied:
        lines: dict[tuple, list[int]] = {}
        for number, row in enumerate(rows):
            lines.setdefault((*row[:k], *row[k + 1 :]), []).append(number)
        lonely -= {number for line in lines.values() if len(line) > 1 for number in line}
    return 2 * len(lonely) > len(rows)


def batches(replicas: int, per_job: int) -> dict[str, list[int]]:
    """Return a grid point's batches, the replicas of each job, by names like ``r000-006``.

    Args:
        replicas: Number of replicas of a grid point. The first replica has the number 0.
        per_job: Largest number of replicas in one job.
    """
    groups = (
        list(range(first, min(first + per_job, replicas))) for first in range(0, replicas, per_job)
    )
    return {f"r{group[0]:03d}-{group[-1]:03d}": group for group in groups}
