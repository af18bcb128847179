"""Everything that the explorer of a study contains."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr

from passband.config import Study
from passband.figures import style
from passband.figures.matrix import losses, outermost
from passband.matrices.matrix import Matrix
from passband.matrices.stored import MatrixName
from passband.reports.explorer import matrix_blocks, transfer_metrics
from passband.reports.explorer import study_lens as explorer_lens
from passband.reports.explorer.explorer import Blocks
from passband.reports.explorer.metric_names import labels
from passband.reports.explorer.sides import Sides
from passband.version import __version__

#: Colour maps that people with any colour vision can read. The last one is for numbers of both
#: signs.
_COLOURS = (style.PALETTE, "cividis", "gray")
_DIVERGING = "PuOr_r"


def content(
    study: Study,
    matrices: Sequence[Matrix],
    information: xr.Dataset | None,
    blocks: Blocks,
    predicted: Mapping[MatrixName, np.ndarray] | None = None,
) -> dict[str, Any]:
    """Return what the explorer contains, for :func:`passband.reports.explorer.explorer.page`.

    Args:
        matrices: All matrices of the study, with OOD metrics.
        information: The study's metrics of transfer functions, None without them. Variables may be
            on disk.
        predicted: Predicted Dice of matrices, each (train, test).
    """
    first = matrices[0]
    lens = explorer_lens.lens(study.microscope, study.study.seed, [*first.train, *first.test])
    sides = Sides.of(first)
    transfer = transfer_metrics.stored(information, first, sides, blocks)
    listed = [*transfer["metrics"], *transfer["left_out"]]
    made = first.metrics.attrs
    return {
        "study": {
            "name": study.study.name,
            "version": __version__,
            "revision": made.get("git_revision", ""),
            "created": made.get("created", "")[:10],
            "structures": first.structures,
        },
        "axes": matrix_blocks.axes(first.axes.names),
        "order": _order(matrices),
        "train": matrix_blocks.conditions(first.train, first.mixtures),
        "test": matrix_blocks.conditions(first.test),
        "groups": matrix_blocks.stored(matrices, blocks, predicted or {}, sides),
        "transfer": transfer,
        "lenses": sides.content,
        "labels": labels(first.metrics, information, listed),
        "notes": _notes(first, lens, information is not None),
        "rankings": [],
        "colours": _colours(blocks),
        "lens": lens,
        "lattice": explorer_lens.lattice(study.specimens),
    }


def _order(matrices: Sequence[Matrix]) -> list[int]:
    """Return the places of the axes, the outermost first, as on the page of the report."""
    found = [
        losses(own.metrics.dice.transpose("train", "test").values, own.train, own.test)
        for own in (each.of_conditions() for each in matrices if each.name.is_home)
    ]
    first = matrices[0]
    names = first.axes.names
    if not (first.train and found):
        return list(range(len(names)))
    return [names.index(name) for name in outermost(first.train, first.test, found)]


def _notes(matrix: Matrix, lens: Mapping[str, Any], has_transfer: bool) -> list[str]:
    """Return remarks for the page's reader."""
    notes = [
        "M(i, j) is the mean Dice of the networks that were trained at condition i and tested at "
        "condition j. Outlined cells are in distribution (i = j)."
    ]
    if matrix.mixtures:
        notes.append(
            f"The last {len(matrix.mixtures)} row(s) are mixtures of conditions. Metrics of "
            "transfer functions are then expectations."
        )
    if not lens["drawn"]:
        notes.append(
            "The study has axes that need other exit waves, so there are no curves of T(q)."
        )
    if not has_transfer:
        notes.append("The study has no store of metrics of transfer functions.")
    return notes


def _colours(blocks: Blocks) -> list[dict[str, Any]]:
    """Return colour maps as (256, 3) arrays of numbers from 0 to 255; the first is the default."""
    return [
        {"name": name, "diverging": name == _DIVERGING, "rgb": blocks.bytes(colour_table(name))}
        for name in (*_COLOURS, _DIVERGING)
    ]


def colour_table(name: str) -> np.ndarray:
    """Return a colour map, as a (256, 3) uint8 array."""
    return np.round(255 * mpl.colormaps[name](np.arange(256))[:, :3]).astype(np.uint8)
