"""Which rows and columns of a matrix somebody means, by names, or by values of axes."""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from passband.axes import AXES
from passband.errors import PassbandError
from passband.grid import Condition, axes_of

#: What names a row or a column: its index, its id, or its condition.
Place = int | str | Condition
#: What chooses conditions by an axis: a value, several, or a slice, whose ends belong to it.
Wanted = float | Sequence[float] | slice

_SIDES = ("train", "test")


def index_of(given: Place, side: str, ids: Sequence[str], label: str) -> int:
    """Return the index of a row or a column.

    Args:
        given: An index may count from the end, as a negative number.
        side: ``train`` for a row, or ``test`` for a column.
        ids: Ids of all rows, or of all columns.
        label: The matrix, for an error's message.

    Raises:
        PassbandError: If there is no such row or column.
    """
    noun = {"train": "row", "test": "column"}[side]
    if isinstance(given, int | np.integer):
        if not -len(ids) <= given < len(ids):
            raise PassbandError(
                f"{noun} = {given}: must be from 0 to {len(ids) - 1}, the {noun}s of {label}"
            )
        return int(given) % len(ids)
    id = given.id if isinstance(given, Condition) else str(given)
    if id not in ids:
        first = f"; the first is {ids[0]}" if ids else ""
        raise PassbandError(f"{side} = {id}: {label} has no such {noun}{first}")
    return ids.index(id)


def selected(cells: xr.Dataset, values: Mapping[str, Wanted]) -> dict[str, np.ndarray]:
    """Return the indices of the conditions with some values, of `train` and of `test`.

    Args:
        cells: Results with the coordinates from :meth:`passband.grid.Axes.coordinates`.
        values: See :meth:`passband.matrices.matrix.Matrix.sel`.

    Raises:
        PassbandError: If there is no such axis, or no condition with such a value.
    """
    axes = axes_of(cells)
    kept = {side: np.ones(cells.sizes[side], dtype=bool) for side in _SIDES}
    for key, wanted in values.items():
        side, _, axis = key.partition("_")
        sides = (side,) if side in _SIDES else _SIDES
        axis = axis if side in _SIDES else key
        if axis not in axes:
            raise PassbandError(
                f"{key}: is no axis; must be one of {', '.join(axes)}, or one of them after train_ "
                "or test_"
            )
        for each in sides:
            kept[each] &= _has(cells[f"{each}_{axis}"].values, wanted, f"{each}_{axis}")
    for side, rows in kept.items():
        if not rows.any():
            given = ", ".join(values)
            raise PassbandError(f"{given}: no {side} condition has all these values")
    return {side: np.flatnonzero(rows) for side, rows in kept.items()}


def _has(values: np.ndarray, wanted: Wanted, key: str) -> np.ndarray:
    """Return which values are wanted; PassbandError if none is, or if a single one is missing."""
    known = np.unique(values[np.isfinite(values)])
    if isinstance(wanted, slice):
        low, high = _numbers(wanted, key)
        found = (values >= low) & (values <= high)
        missing = [] if found.any() else [f"{low:g} to {high:g}"]
    else:
        canonical = AXES[key.partition("_")[2]].canonical
        given = [canonical(number) for number in _numbers(wanted, key)]
        found = np.isin(values, given)
        missing = [f"{number:g}" for number in given if number not in known]
    if missing:
        every = ", ".join(f"{number:g}" for number in known) or "none"
        raise PassbandError(f"{key} = {missing[0]}: no condition has this value; there are {every}")
    return found


def _numbers(wanted: Wanted, key: str) -> list[float]:
    """Return wanted values, or the ends of a slice; PassbandError if they are no numbers."""
    given = wanted
    if isinstance(wanted, slice):
        low = -np.inf if wanted.start is None else wanted.start
        high = np.inf if wanted.stop is None else wanted.stop
        given = [low, high] if wanted.step is None else []
    try:
        found = [float(number) for number in np.atleast_1d(given).tolist()]
    except (TypeError, ValueError):
        found = []
    if not found:
        raise PassbandError(
            f"{key} = {wanted!r}: must be a number, several numbers, or a slice without a step"
        )
    return found
