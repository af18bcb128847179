"""The grid of imaging conditions: its conditions and the ids of the conditions."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from passband.axes import AXES, FURTHER_AXES, MAIN_AXES

_MIXTURE = re.compile(r"[a-z][a-z0-9-]*-[0-9a-f]{8}")
_BY_TOKEN = {axis.token: axis for axis in AXES.values()}


@dataclass(frozen=True, order=True)
class Condition:
    """An imaging condition χ. Each value is rounded to a multiple of its axis's resolution.

    Conditions are sorted by their values, first by defocus. The sorted ids of conditions have the
    same order as the sorted conditions, with one exception: among the ids, negative values of an
    axis come after its positive values and are sorted by magnitude.

    Attributes:
        defocus_nm, cs_um, aperture_mrad, dose_e_per_A2: The values of the axes of
            :data:`MAIN_AXES`.
        further: Names and values of those axes of :data:`FURTHER_AXES` whose value differs from the
            study's own value, in the order of :data:`AXES`. A mapping of names to values is
            accepted too.
    """

    defocus_nm: float
    cs_um: float
    aperture_mrad: float
    dose_e_per_A2: float
    further: tuple[tuple[str, float], ...] = ()

    def __post_init__(self):
        for axis in MAIN_AXES.values():
            object.__setattr__(self, axis.name, axis.canonical(getattr(self, axis.name)))
        given = dict(self.further)
        if unknown := sorted(given.keys() - FURTHER_AXES.keys()):
            raise ValueError(f"{unknown[0]!r} is not a further axis")
        values = ((axis, given[axis.name]) for axis in FURTHER_AXES.values() if axis.name in given)
        further = tuple((axis.name, axis.canonical(value)) for axis, value in values)
        object.__setattr__(self, "further", further)

    @classmethod
    def of(cls, values: Mapping[str, float], own: Mapping[str, float] | None = None) -> "Condition":
        """Return the condition with the given values of a study's axes.

        Args:
            values: A value for each axis of :data:`MAIN_AXES`, and for any further axes.
            own: The study's own values of further axes. A value that equals the study's own value
                is not part of the condition's id.
        """
        own = own or {}
        further = {
            name: values[name]
            for name, axis in FURTHER_AXES.items()
            if name in values
            and not (name in own and axis.canonical(values[name]) == axis.canonical(own[name]))
        }
        return cls(*(values[name] for name in MAIN_AXES), tuple(further.items()))

    def value(self, name: str, own: Mapping[str, float] | None = None) -> float:
        """Return the condition's value of an axis.

        Args:
            own: The study's own values of further axes. It must have the axis if the condition has
                the study's own value of it.

        Raises:
            KeyError: If the condition has the study's own value, and `own` does not have this
                value.
        """
        if name in MAIN_AXES:
            return getattr(self, name)
        found = dict(self.further)
        return found[name] if name in found else FURTHER_AXES[name].canonical((own or {})[name])

    def values(self, own: Mapping[str, float] | None = None) -> dict[str, float]:
        """Return the condition's values of all axes of a study, in the order of :data:`AXES`.

        `own` has the study's own values of its further axes. Axes of the condition that `own` does
        not have are included too.
        """
        names = {*MAIN_AXES, *(own or {}), *dict(self.further)}
        return {name: self.value(name, own) for name in AXES if name in names}

    @property
    def id(self) -> str:
        """The condition's id, such as ``df+0020.00_cs+0001.200_ap020.00_ds000400.00``.

        The values of further axes come after these four, such as ``_as0005.000``.
        """
        main = (axis.format(getattr(self, axis.name)) for axis in MAIN_AXES.values())
        return "_".join([*main, *(FURTHER_AXES[name].format(x) for name, x in self.further)])

    @classmethod
    def parse(cls, id: str) -> "Condition":
        """Return the condition with the given id.

        Raises:
            ValueError: If `id` is not the id of a condition.
        """
        values = {}
        for token in id.split("_"):
            match = re.fullmatch(r"([a-z]+)([+-]?\d+\.\d+)", token, re.ASCII)
            if not match or match[1] not in _BY_TOKEN:
                raise ValueError(f"{id!r} is not the id of a condition")
            values[_BY_TOKEN[match[1]].name] = float(match[2])
        if not MAIN_AXES.keys() <= values.keys():
            raise ValueError(f"{id!r} is not the id of a condition")
        condition = cls.of(values)
        if condition.id != id:
            raise ValueError(f"{id!r} is not the id of a condition; write {condition.id!r}")
        return condition


#: Conditions: the values of each axis, for all combinations (Cartesian product); several such
#: products; or ids of conditions.
Conditions = Mapping[str, Sequence[float]] | Sequence[Mapping[str, Sequence[float]]] | Sequence[str]


def conditions(given: Conditions, own: Mapping[str, float] | None = None) -> list[Condition]:
    """Return the conditions of products of axes, or of ids, sorted by their values.

    Args:
        given: For each axis of the grid, the axis's values in the axis's unit: the conditions are
            all combinations of the values (Cartesian product). With several such products, a
            condition of several products occurs once. Or the ids of the conditions.
        own: The study's own values of further axes.
    """
    parts = [given] if isinstance(given, Mapping) else given
    found: set[Condition] = set()
    for part in parts:
        found |= {Condition.parse(part)} if isinstance(part, str) else _product(part, own)
    return ordered(found, own)


def _product(
    axes: Mapping[str, Sequence[float]], own: Mapping[str, float] | None
) -> set[Condition]:
    names = [name for name in AXES if name in axes]
    values = (dict(zip(names, each, strict=True)) for each in product(*map(axes.get, names)))
    return {Condition.of(each, own) for each in values}


def ordered(
    conditions: Iterable[Condition], own: Mapping[str, float] | None = None
) -> list[Condition]:
    """Return conditions sorted by their values of all axes, in the order of :data:`AXES`."""
    return sorted(conditions, key=lambda condition: tuple(condition.values(own).items()))


def coordinates(
    ids: Iterable[str], dimension: str, own: Mapping[str, float] | None = None
) -> dict[str, tuple]:
    """Return xarray coordinates with the imaging parameters of conditions.

    Args:
        ids: Ids of the conditions along the dimension `dimension`. The coordinates of a mixture of
            conditions, whose id is that of no condition, are NaN.
        dimension: Name of the data set's dimension that has the conditions. The name of each
            coordinate is ``{dimension}_{axis name}``.
        own: The study's own values of its further axes.

    Returns:
        For each coordinate's name, ``(dimension, values, attrs)``. `attrs` has the unit and the
        long name of the imaging parameter, and for a further axis the study's own value, `own`.
    """
    own, parsed = own or {}, [Condition.parse(id) if is_condition(id) else None for id in ids]
    return {
        f"{dimension}_{name}": (
            dimension,
            [math.nan if each is None else each.value(name, own) for each in parsed],
            {"units": axis.unit, "long_name": axis.label}
            | ({"own": axis.canonical(own[name])} if name in own else {}),
        )
        for name, axis in AXES.items()
        if name in MAIN_AXES or name in own
    }


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


def ordered_ids(ids: Iterable[str], own: Mapping[str, float] | None = None) -> list[str]:
    """Return ids sorted by the conditions' values, see :func:`ordered`, and then of mixtures."""
    ids = list(ids)
    conditions = ordered({Condition.parse(id) for id in ids if is_condition(id)}, own)
    mixed = sorted({id for id in ids if not is_condition(id)})
    return [*(condition.id for condition in conditions), *mixed]


def own_values(data) -> dict[str, float]:
    """Return the study's own values of its further axes, from the coordinates of results.

    Args:
        data: Results with the coordinates from :func:`coordinates`.
    """
    found = {}
    for name in FURTHER_AXES:
        for dimension in ("train", "test"):
            if f"{dimension}_{name}" in data.coords:
                found[name] = float(data[f"{dimension}_{name}"].attrs["own"])
    return found


def axes_of(data) -> list[str]:
    """Return the names of a study's axes, in the order of :data:`AXES`.

    `data` has results with the coordinates from :func:`coordinates`.
    """
    sides = ("train", "test")
    return [name for name in AXES if any(f"{side}_{name}" in data.coords for side in sides)]


def is_scattered(data) -> bool:
    """Return whether conditions are points that have almost no neighbours along any axis.

    In a product of several axes that vary, each condition has neighbours along each of them: these
    conditions differ in this axis only. Conditions are scattered if several axes vary and most
    conditions have no neighbour.

    Args:
        data: Results with the coordinates from :func:`coordinates` for the training conditions.
    """
    data = of_conditions(data)
    values = (data[f"train_{name}"].values.tolist() for name in axes_of(data))
    return has_few_neighbours(list(zip(*values, strict=True)))


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
