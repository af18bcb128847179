"""The grid of imaging conditions: its axes, its conditions and the ids of the conditions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product


@dataclass(frozen=True)
class Axis:
    """An imaging parameter: its key in the configuration and its format in a condition's id.

    Attributes
    ----------
    name : str
        Key of the parameter in the configuration, and name of its coordinate in the table of
        results. The key ends with the unit.
    label, unit : str
        Name and unit of the parameter in figures and in attributes of data sets.
    token : str
        Prefix of the parameter's value in a condition's id.
    digits, decimals : int
        Number of digits before and after the decimal point in a condition's id. All values of the
        parameter are multiples of 10**−decimals, so that a value can be converted to text in an id,
        and back to a number, without loss.
    minimum, maximum : float
        Smallest and largest allowed value of the parameter. These limits detect values in a wrong
        unit.
    """

    name: str
    label: str
    unit: str
    token: str
    digits: int
    decimals: int
    minimum: float
    maximum: float

    @property
    def signed(self) -> bool:
        return self.minimum < 0

    def canonical(self, value: float) -> float:
        """Return the multiple of the axis's resolution nearest to `value`."""
        return round(value, self.decimals) + 0.0  # + 0.0 turns −0.0 into 0.0

    def format(self, value: float) -> str:
        """Return a value's part of a condition's id, of fixed width, such as ``cs+0001.200``."""
        width = self.digits + 1 + self.decimals + self.signed
        sign = "+" if self.signed else ""
        return f"{self.token}{self.canonical(value):{sign}0{width}.{self.decimals}f}"


AXES: dict[str, Axis] = {
    axis.name: axis
    for axis in (
        Axis("defocus_nm", "defocus", "nm", "df", 4, 2, -9999.99, 9999.99),
        Axis("cs_um", "Cs", "µm", "cs", 4, 3, -9999.999, 9999.999),
        Axis("aperture_mrad", "aperture", "mrad", "ap", 3, 2, 0.1, 200.0),
        Axis("dose_e_per_A2", "dose", "e/Å²", "ds", 6, 2, 0.01, 999999.99),
    )
}


@dataclass(frozen=True, order=True)
class Condition:
    """An imaging condition χ. Each value is rounded to a multiple of its axis's resolution.

    Conditions are sorted by their values, first by defocus. The sorted ids of conditions have the
    same order as the sorted conditions, with one exception: among the ids, negative values of an
    axis come after its positive values and are sorted by magnitude.
    """

    defocus_nm: float
    cs_um: float
    aperture_mrad: float
    dose_e_per_A2: float

    def __post_init__(self):
        for axis in AXES.values():
            object.__setattr__(self, axis.name, axis.canonical(getattr(self, axis.name)))

    @property
    def id(self) -> str:
        """The condition's id, such as ``df+0020.00_cs+0001.200_ap020.00_ds000400.00``."""
        return "_".join(axis.format(getattr(self, axis.name)) for axis in AXES.values())

    @classmethod
    def parse(cls, id: str) -> "Condition":
        """Return the condition with the given id.

        Raises
        ------
        ValueError
            If `id` is not the id of a condition.
        """
        tokens = id.split("_")
        try:
            values = [
                float(token.removeprefix(axis.token))
                for token, axis in zip(tokens, AXES.values(), strict=True)
            ]
        except ValueError:
            raise ValueError(f"{id!r} is not the id of a condition") from None
        condition = cls(*values)
        if condition.id != id:
            raise ValueError(f"{id!r} is not the id of a condition; write {condition.id!r}")
        return condition


def conditions(axes: dict[str, Sequence[float]]) -> list[Condition]:
    """Return all combinations of the axes' values (Cartesian product), as sorted conditions.

    Parameters
    ----------
    axes : dict of str to sequence of float
        For each axis in :data:`AXES`, the axis's values in the axis's unit.
    """
    return sorted(Condition(*values) for values in product(*(axes[name] for name in AXES)))


def coordinates(ids: Iterable[str], dimension: str) -> dict[str, tuple]:
    """Return xarray coordinates with the imaging parameters of conditions.

    Parameters
    ----------
    ids : iterable of str
        Ids of the conditions along the dimension `dimension`.
    dimension : str
        Name of the data set's dimension that has the conditions. The name of each coordinate is
        ``{dimension}_{axis name}``.

    Returns
    -------
    dict
        For each coordinate's name, ``(dimension, values, attrs)``. `attrs` has the unit and the
        long name of the imaging parameter.
    """
    parsed = [Condition.parse(id) for id in ids]
    return {
        f"{dimension}_{axis.name}": (
            dimension,
            [getattr(condition, axis.name) for condition in parsed],
            {"units": axis.unit, "long_name": axis.label},
        )
        for axis in AXES.values()
    }


def batches(replicas: int, per_job: int) -> dict[str, list[int]]:
    """Return a grid point's batches, the replicas of each job, by names like ``r000-006``.

    Parameters
    ----------
    replicas : int
        Number of replicas of a grid point. The first replica has the number 0.
    per_job : int
        Largest number of replicas in one job.
    """
    groups = (
        list(range(first, min(first + per_job, replicas))) for first in range(0, replicas, per_job)
    )
    return {f"r{group[0]:03d}-{group[-1]:03d}": group for group in groups}
