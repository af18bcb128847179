"""Words about networks that did not learn, see :mod:`passband.matrices.learned`."""

import numpy as np
import xarray as xr

from passband.grid import Axes, is_condition

#: The mark of networks that did not learn, in tables.
MARK = "†"
#: What helps, in a line.
REMEDY = "train with more steps (training.epochs) or structures (study.structures)"
#: Largest number of training conditions that a sentence names.
_MOST = 4


def sentence(found: xr.DataArray | None) -> str:
    """Return which networks did not learn, and what follows; "" if there are none.

    Args:
        found: See :func:`passband.matrices.learned.unlearned`; None if it is not known.
    """
    if found is None or not found.any():
        return ""
    number = int(found.sum())
    if not found.attrs["learned"]:
        return (
            "No network learned: under its own training condition, none is better than a mask of "
            f"all pixels. So nothing is concluded or recommended: {REMEDY}."
        )
    ids = [str(id) for id in found.train.values[found.any([*{*found.dims} - {"train"}]).values]]
    axes = Axes.of(found)
    words = [axes.parse(id).words if is_condition(id) else id for id in ids]
    named = "; ".join(words[:_MOST])
    more = f"; and {len(ids) - _MOST:,} more conditions" if len(ids) > _MOST else ""
    which = f"{number:,} of {number + found.attrs['learned']:,} networks did not learn"
    return (
        f"{which}: under their own training condition, they are no better than a mask of all "
        f"pixels ({named}{more}). They are left out of all conclusions and recommendations: "
        f"{REMEDY}."
    )


def is_marked(found: xr.DataArray | None, cells: xr.Dataset) -> np.ndarray:
    """Return which training conditions of a group have a network that did not learn (train,)."""
    if found is None:
        return np.zeros(cells.sizes["train"], dtype=bool)
    place = {name: cells[name].values.item() for name in ("specimen", "architecture")}
    return found.sel(place | {"train": cells.train}).any("replica").values
