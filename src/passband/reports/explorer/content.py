"""Everything that the explorer of a study contains."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn  # noqa: F401, registers its colour maps
import xarray as xr

from passband import __version__
from passband.config import Study
from passband.figures import matrix
from passband.grid import Condition, along, axes_of, is_condition
from passband.matrices.leaving import groups
from passband.reports.explorer import lens as explorer_lens
from passband.reports.explorer import matrix_blocks
from passband.reports.explorer.explorer import Blocks

#: Metrics of transfer functions that are stored if the page cannot compute them.
STORED = ("overlap", "coverage", "wiener")
#: Colour maps that people with any colour vision can read. The last one is for numbers of both
#: signs.
_COLOURS = ("viridis", "cividis", "gray")
_DIVERGING = "PuOr_r"


def content(
    study: Study,
    metrics: xr.Dataset,
    table: xr.Dataset,
    spectra: Mapping[str, tuple[np.ndarray, np.ndarray]],
    information: xr.Dataset | None,
    blocks: Blocks,
    predicted: Mapping[tuple[int, int, int], np.ndarray] | None = None,
) -> dict[str, Any]:
    """Return what the explorer contains, for :func:`passband.reports.explorer.explorer.page`.

    Args:
        metrics: OOD metrics, see :func:`passband.analysis.ood.metrics`.
        table: The table of results, see :func:`passband.analysis.table.aggregate`.
        spectra: The spectrum of each weight of spatial frequencies, see
            :func:`passband.analysis.information.metrics`, (q, P).
        information: Metrics of transfer functions, with :data:`STORED`. They are used if the lens
            is not round or has jitter, or if there are mixtures. Otherwise, the page computes all
            metrics.
        predicted: Predicted matrices, each (train, test), see
            :func:`passband.reports.explorer.matrix_blocks.matrices`.
    """
    train, test = along(metrics, "train"), along(metrics, "test")
    mixtures = [str(id) for id in metrics.train.values if not is_condition(str(id))]
    lens = explorer_lens.lens(study.microscope, study.study.seed, train + test)
    mixed = len(mixtures)
    computed = lens["round"] and lens["drawn"] and not lens["varies"] and not mixed
    stored = {} if computed or information is None else _by_specimen(information, metrics)
    return {
        "study": {
            "name": study.study.name,
            "version": __version__,
            "revision": metrics.attrs.get("git_revision", ""),
            "created": metrics.attrs.get("created", "")[:10],
            "structures": table.sizes["structure"],
        },
        "axes": matrix_blocks.axes(axes_of(metrics)),
        "order": _order(metrics, train, test),
        "train": matrix_blocks.conditions(train, mixtures),
        "test": matrix_blocks.conditions(test),
        "groups": matrix_blocks.matrices(metrics, table, blocks, predicted or {}, stored),
        "sentences": matrix_blocks.sentences(),
        "notes": _notes(metrics, spectra, lens, computed, mixed),
        "rankings": [],
        "colours": _colours(study.figures.palette, blocks),
        "lens": lens,
        "lattice": explorer_lens.lattice(study.specimens),
        "integrals": explorer_lens.integrals(
            study.microscope, study.information.samples, spectra, blocks
        )
        if computed
        else None,
    }


def _order(metrics: xr.Dataset, train: Sequence[Condition], test: Sequence[Condition]) -> list[int]:
    """Return the places of the axes, the outermost first, as on the page of the report."""
    sides = {"train": [c.id for c in train], "test": [c.id for c in test]}
    found = [
        matrix.losses(group.dice.sel(sides).transpose("train", "test").values, train, test)
        for _, group in groups(metrics)
        if group.test_specimen == group.specimen
    ]
    names = list(axes_of(metrics))
    if not (train and found):
        return list(range(len(names)))
    return [names.index(name) for name in matrix.outermost(train, test, found)]


def _by_specimen(information: xr.Dataset, metrics: xr.Dataset) -> dict[str, xr.DataArray]:
    """Return metrics (specimen, train, test) with each specimen's weight, or else the flat one."""
    ordered = information.sel(train=metrics.train.values, test=metrics.test.values)
    known = {str(name) for name in ordered.weight.values}
    names = [str(name) for name in metrics.specimen.values]
    weights = [name if name in known else "flat" for name in names]
    chosen = ordered[list(STORED)].sel(weight=weights).rename(weight="specimen")
    chosen = chosen.assign_coords(specimen=names)
    return {str(name): matrix for name, matrix in chosen.data_vars.items()}


def _notes(
    metrics: xr.Dataset,
    spectra: Mapping[str, tuple[np.ndarray, np.ndarray]],
    lens: Mapping[str, Any],
    computed: bool,
    mixed: int,
) -> list[str]:
    """Return remarks for the page's reader."""
    notes = [
        "M(i, j) is the mean Dice of the networks that were trained at condition i and tested at "
        "condition j. Outlined cells are in distribution (i = j)."
    ]
    if mixed:
        notes.append(
            f"The last {mixed} row(s) are mixtures of conditions. Metrics of transfer functions "
            "are then expectations, and only some of them are here."
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
    elif missing := [str(s) for s in metrics.specimen.values if str(s) not in spectra]:
        notes.append(
            f"Without the exit waves, the spectrum of {', '.join(missing)} is not known, so "
            "metrics of transfer functions have the flat weight only."
        )
    return notes


def _colours(palette: str, blocks: Blocks) -> list[dict[str, Any]]:
    """Return colour maps as (256, 3) arrays of numbers from 0 to 255; the first is the default."""
    names = dict.fromkeys([palette, *_COLOURS, _DIVERGING])
    return [
        {"name": name, "diverging": name == _DIVERGING, "rgb": blocks.bytes(colour_table(name))}
        for name in names
    ]


def colour_table(name: str) -> np.ndarray:
    """Return a colour map, as a (256, 3) uint8 array."""
    return np.round(255 * mpl.colormaps[name](np.arange(256))[:, :3]).astype(np.uint8)
