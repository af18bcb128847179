"""The metrics of transfer functions that a study's store has, for the explorer."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr

from passband.errors import PassbandError
from passband.matrices.matrix import Matrix
from passband.reports.explorer.explorer import Blocks
from passband.reports.explorer.sides import Few, Sides

#: Largest number of bytes of all metrics together, before compression and base64.
_BYTES = 5_000_000
_SIDES = ("train", "test")


def stored(
    information: xr.Dataset | None, matrix: Matrix, sides: Sides, blocks: Blocks
) -> dict[str, Any]:
    """Add all metrics of the store to the blocks, those of fewest numbers first.

    Args:
        information: The information metrics of the study; None if there is no store. Variables may
            be on disk, and are in memory one at a time.
        matrix: Any matrix of the study, whose conditions are those of all.

    Returns:
        `weights`: names of the weights of spatial frequencies, without bands. `metrics`: for each
        metric, the description of its numbers for each weight. `left_out`: names of the metrics
        that would make the page too large.
    """
    if information is None:
        return {"weights": [], "metrics": {}, "left_out": []}
    weights = [str(name) for name in information.weight.values if "/" not in str(name)]
    found = dict(_metrics(information, matrix, sides, weights))
    left = _BYTES
    kept = []
    for name in sorted(found, key=lambda name: sum(few.bytes for few in found[name])):
        left -= sum(few.bytes for few in found[name])
        if left >= 0:
            kept.append(name)
    return {
        "weights": weights,
        "metrics": {
            name: [few.added(blocks) for few in of_weights]
            for name, of_weights in found.items()
            if name in kept
        },
        "left_out": [name for name in found if name not in kept],
    }


def _metrics(
    information: xr.Dataset, matrix: Matrix, sides: Sides, weights: list[str]
) -> Iterator[tuple[str, list[Few]]]:
    """Yield each metric's name and its numbers for each weight."""
    ids = dict(zip(_SIDES, (matrix.rows, matrix.columns), strict=True))
    for side, wanted in ids.items():
        if lacking := sorted({*wanted} - {*information[side].values.tolist()}):
            raise PassbandError(
                f"the metrics of transfer functions have no {side} = {lacking[0]}, which the OOD "
                "metrics have; run the study again"
            )
    for name, variable in information.data_vars.items():
        own = [side for side in _SIDES if side in variable.dims]
        if not own or {*variable.dims} != {"weight", *own}:
            continue
        chosen = variable.sel(weight=weights).load().sel({side: list(ids[side]) for side in own})
        values = chosen.transpose("weight", *own).values.astype(float)
        if len(own) == 1:  # a metric of one condition
            values = np.expand_dims(values, 2 if own == ["train"] else 1)
        shape = [len(each) for each in ids.values()]
        yield str(name), [sides.few(np.broadcast_to(of_weight, shape)) for of_weight in values]
