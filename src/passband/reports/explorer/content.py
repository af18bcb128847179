"""Everything that the explorer of a study contains."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr

from passband.analysis.information import radial_samples
from passband.config import Study
from passband.figures import style
from passband.figures.matrix import losses, outermost
from passband.matrices.matrix import Matrix
from passband.matrices.stored import MatrixName
from passband.reports.explorer import lens as explorer_lens
from passband.reports.explorer import matrix_blocks
from passband.reports.explorer.explorer import Blocks
from passband.version import __version__

#: Colour maps that people with any colour vision can read. The last one is for numbers of both
#: signs.
_COLOURS = (style.PALETTE, "cividis", "gray")
_DIVERGING = "PuOr_r"


def content(
    study: Study,
    matrices: Sequence[Matrix],
    spectra: Mapping[str, tuple[np.ndarray, np.ndarray]],
    information: xr.Dataset | None,
    blocks: Blocks,
    predicted: Mapping[MatrixName, np.ndarray] | None = None,
) -> dict[str, Any]:
    """Return what the explorer contains, for :func:`passband.reports.explorer.explorer.page`.

    Args:
        matrices: All matrices of the study, with OOD metrics.
        spectra: The spectrum of each weight of spatial frequencies, see
            :func:`passband.analysis.information.metrics`, (q, P).
        information: Metrics of transfer functions, with
            :data:`passband.reports.explorer.matrix_blocks.STORED`. They are used if the lens is not
            round or has jitter, or if there are mixtures. Otherwise, the page computes all metrics.
        predicted: Predicted Dice of matrices, each (train, test).
    """
    first = matrices[0]
    lens = explorer_lens.lens(study.microscope, study.study.seed, [*first.train, *first.test])
    mixed = len(first.mixtures)
    computed = lens["round"] and lens["drawn"] and not lens["varies"] and not mixed
    if computed:
        information = None
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
        "groups": matrix_blocks.stored(matrices, blocks, predicted or {}, information),
        "sentences": matrix_blocks.sentences(),
        "notes": _notes(matrices, spectra, lens, computed),
        "rankings": [],
        "colours": _colours(blocks),
        "lens": lens,
        "lattice": explorer_lens.lattice(study.specimens),
        "integrals": explorer_lens.integrals(
            study.microscope, radial_samples(study.microscope), spectra, blocks
        )
        if computed
        else None,
    }


def _order(matrices: Sequence[Matrix]) -> list[int]:
    """Return the places of the axes, the outermost first, as on the page of the report."""
    found = [
        losses(own.metrics.dice.transpose("train", "test").values, own.train, own.test)
        for own in (each.of_conditions() for each in matrices if each.name.is_own)
    ]
    first = matrices[0]
    names = first.axes.names
    if not (first.train and found):
        return list(range(len(names)))
    return [names.index(name) for name in outermost(first.train, first.test, found)]


def _notes(
    matrices: Sequence[Matrix],
    spectra: Mapping[str, tuple[np.ndarray, np.ndarray]],
    lens: Mapping[str, Any],
    computed: bool,
) -> list[str]:
    """Return remarks for the page's reader."""
    notes = [
        "M(i, j) is the mean Dice of the networks that were trained at condition i and tested at "
        "condition j. Outlined cells are in distribution (i = j)."
    ]
    if mixtures := matrices[0].mixtures:
        notes.append(
            f"The last {len(mixtures)} row(s) are mixtures of conditions. Metrics of transfer "
            "functions are then expectations, and only some of them are here."
        )
    elif not lens["drawn"]:
        notes.append(
            "The study has axes that need other exit waves. So only some metrics of transfer "
            "functions are here, and no curves of T(q)."
        )
    elif not computed:
        notes.append(
            "The lens is not round under every condition or varies between images, so only some "
            "metrics of transfer functions are here."
        )
    elif missing := [s for s in dict.fromkeys(m.specimen for m in matrices) if s not in spectra]:
        notes.append(
            f"Without the exit waves, the spectrum of {', '.join(missing)} is not known, so "
            "metrics of transfer functions have the flat weight only."
        )
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
