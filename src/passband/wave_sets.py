"""Sets of exit waves: which exit waves the images of a condition are formed from.

Most imaging parameters act behind the exit wave, so that all conditions share the exit waves of a
specimen. The axes with :attr:`passband.axes.Axis.needs_waves` are the exception, such as the beam
energy. The id of a set of exit waves has the tokens of those axes whose value differs from the
study's own value, such as ``en0200.00_th05.000``. The exit waves with the study's own values have
the id "".
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

from passband.axes import AXES
from passband.grid import Axes, Condition, values_in
from passband.mixtures import Mixture, is_mixture

#: Names of the axes that need other exit waves.
WAVE_AXES = tuple(name for name, axis in AXES.items() if axis.needs_waves)


@dataclass(frozen=True)
class WaveSet:
    """A set of exit waves.

    Attributes:
        further: Names and values of those of :data:`WAVE_AXES` whose value differs from the study's
            own, in this order.
    """

    further: tuple[tuple[str, float], ...] = ()

    @classmethod
    def parse(cls, id: str) -> "WaveSet":
        """Return the set with the given id; ValueError if it is not the id of a set."""
        values = values_in(id) if id else {}
        found = cls(tuple((name, values[name]) for name in WAVE_AXES if name in values))
        if found.id != id:
            raise ValueError(f"{id!r} is not the id of a set of exit waves")
        return found

    @property
    def id(self) -> str:
        return "_".join(AXES[name].format(x) for name, x in self.further)

    @property
    def words(self) -> str:
        """The values that differ from the study's own, such as ``energy_kev = 200``."""
        return ", ".join(f"{name} = {x:g}" for name, x in self.further)


def of_products(products: Sequence[Mapping[str, Sequence[float]]], axes: Axes) -> list[WaveSet]:
    """Return the sets of products of a study's axes, sorted by their values."""
    own = {name: axes.own[name] for name in WAVE_AXES if name in axes.own}
    found = {each for values in products for each in product(*(values[name] for name in own))}
    further = (zip(own, each, strict=True) for each in sorted(found))
    return [WaveSet(tuple((name, x) for name, x in each if x != own[name])) for each in further]


def extremes(values: Mapping[str, Sequence[float]], axes: Axes) -> list[WaveSet]:
    """Return the sets with extreme values, from the sorted values of each axis."""
    return of_products([{name: (each[0], each[-1]) for name, each in values.items()}], axes)


def wave_set(condition: Condition | Mixture) -> str:
    """Return the id of the exit waves that the images of a condition are formed from.

    The images of a mixture are formed from the exit waves with the study's own values.
    """
    if isinstance(condition, Mixture):
        return ""
    tokens = [AXES[name].format(x) for name, x in condition.further if AXES[name].needs_waves]
    return "_".join(tokens)


@lru_cache(maxsize=100_000)  # each record of a study has the same test conditions
def wave_set_of(id: str) -> str:
    """Return the same from the id of a condition or of a mixture."""
    return "" if is_mixture(id) else wave_set(Condition.parse(id))


def folder_of(id: str) -> str:
    """Return the folder with the exit waves of a set below the folder of the specimen."""
    return f"{id}/" if id else ""


def set_of_file(path: str) -> str:
    """Return the id of the set that a file of exit waves belongs to.

    The path of a file is ``waves/<specimen>/<split>/<shard>`` below a folder, with the id between
    specimen and split if the id is not "".
    """
    *_, folder, _, id, _, _ = [""] * 5 + str(path).split("/")
    with suppress(ValueError):
        if folder == "waves" and id and WaveSet.parse(id):
            return id
    return ""


def by_set(paths: Iterable[str]) -> dict[str, list[str]]:
    """Return files of exit waves by the id of their set, in the order of the files."""
    found: dict[str, list[str]] = {}
    for path in paths:
        found.setdefault(set_of_file(path), []).append(path)
    return found
