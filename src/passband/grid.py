"""The imaging grid: its axes, its conditions and their names."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product


@dataclass(frozen=True)
class Axis:
    """One imaging parameter as a user writes it, and how a condition's name spells it.

    Attributes
    ----------
    name : str
        Key in the configuration and coordinate in the table; ends with its unit.
    label, unit : str
        What figures and attributes show.
    token : str
        Prefix in a condition's name.
    digits, decimals : int
        Digits before and after the point in a condition's name. Values are canonical multiples of
        10**−decimals, so a name and its value turn into each other without loss.
    minimum, maximum : float
        Allowed values, ends included. They catch a value given in the wrong unit.
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
        """Return the fixed-width token of a value, such as ``cs+0001.200``."""
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
    """One point χ of the imaging grid. Values are canonical: see :class:`Axis`.

    Conditions order by value, defocus first. Their ids sort the same way, except that negative
    values of an axis follow its positive ones and run by magnitude.
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
        """The canonical name, such as ``df+0020.00_cs+0001.200_ap020.00_ds000400.00``."""
        return "_".join(axis.format(getattr(self, axis.name)) for axis in AXES.values())

    @classmethod
    def parse(cls, id: str) -> "Condition":
        """Return the condition with the given id.

        Raises
        ------
        ValueError
            If `id` is not the canonical name of a condition.
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
            raise ValueError(f"{id!r} is not the id of a condition; {condition.id!r} would be")
        return condition


def conditions(axes: dict[str, Sequence[float]]) -> list[Condition]:
    """Return the Cartesian product of the axes' values as sorted conditions.

    Parameters
    ----------
    axes : dict of str to sequence of float
        Values of each of :data:`AXES`, in its unit.
    """
    return sorted(Condition(*values) for values in product(*(axes[name] for name in AXES)))


def coordinates(ids: Iterable[str], dimension: str) -> dict[str, tuple]:
    """Return xarray coordinates that give the imaging parameters of conditions.

    Parameters
    ----------
    ids : iterable of str
        Condition ids along the dimension.
    dimension : str
        The dimension's name; a coordinate is called ``{dimension}_{axis name}``.

    Returns
    -------
    dict
        Coordinate name to ``(dimension, values, attrs)``, attrs giving unit and long name.
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
    """Return the replicas that each job of a cell takes on, by name, such as ``r000-006``.

    Parameters
    ----------
    replicas : int
        Networks per cell, numbered from 0.
    per_job : int
        Most replicas in a job.
    """
    groups = (
        list(range(first, min(first + per_job, replicas))) for first in range(0, replicas, per_job)
    )
    return {f"r{group[0]:03d}-{group[-1]:03d}": group for group in groups}
