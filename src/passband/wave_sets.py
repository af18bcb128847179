"""Sets of exit waves: which exit waves the images of a condition are formed from.

Most imaging parameters act behind the exit wave, so that all conditions share the exit waves of a
specimen. The axes with :attr:`passband.axes.Axis.needs_waves` are the exception, such as the beam
energy. The id of a set of exit waves has the tokens of those axes whose value differs from the
study's own value, such as ``en0200.00_th05.000``. The exit waves with the study's own values have
the id "".
"""

from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache

from passband.axes import AXES
from passband.grid import Condition
from passband.mixtures import Mixture, is_mixture

#: Names of the axes that need other exit waves.
WAVE_AXES = tuple(name for name, axis in AXES.items() if axis.needs_waves)

_ANY = Condition(0, 0, 1, 1)


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


def condition_of(id: str) -> Condition:
    """Return a condition whose images are formed from the exit waves with an id.

    Only its values of axes that need other exit waves have a meaning.

    Raises:
        ValueError: If `id` is not the id of a set of exit waves.
    """
    condition = Condition.parse(f"{_ANY.id}_{id}") if id else _ANY
    if wave_set(condition) != id:
        raise ValueError(f"{id!r} is not the id of a set of exit waves")
    return condition


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
        if folder == "waves" and id and condition_of(id):
            return id
    return ""


def by_set(paths: Iterable[str]) -> dict[str, list[str]]:
    """Return files of exit waves by the id of their set, in the order of the files."""
    found: dict[str, list[str]] = {}
    for path in paths:
        found.setdefault(set_of_file(path), []).append(path)
    return found
