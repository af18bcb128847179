"""Merges pieces of a study that were computed on several machines.

The tables are joined in :mod:`passband.analysis.table_union`. This module compares the pieces'
configurations, and makes the stores that other commands need: the table, the information metrics
and the OOD metrics.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import xarray as xr

from passband.analysis import mixture_metrics, ood, table_union
from passband.analysis.spectra import Spectrum, flat_spectrum
from passband.analysis.table_union import PIECES
from passband.answers.opened_pieces import open_piece, spectra, spectrum_attribute
from passband.config import ConfigError, Study, validate_stored
from passband.config.mixture_block import configuration_of
from passband.errors import PassbandError
from passband.grid import Condition, along
from passband.matrices.of_study import matrices
from passband.mixtures import Mixture, attributes
from passband.network_id import NetworkId
from passband.outcomes import Outcome
from passband.parts import PACKAGE, Parts
from passband.results import Results, layout
from passband.results.pieces import Found, check_target, find_all
from passband.storage import atomic, datasets, provenance


@dataclass(frozen=True)
class Merged(Outcome):
    """What a merge has written.

    Attributes:
        folder: The new folder of results.
        pieces: Number of pieces.
        networks: Number of networks in the table.
        missing: Number of networks that the table has no results of.
        sizes: Number of specimens, training conditions, and so on.
        left_out: Variables that are not in all pieces.
        lacking: Metrics of the study's own that are left out, since their code is not trusted or
            not here.
        small: The small file with the OOD metrics, or None.
    """

    folder: Path
    pieces: int
    networks: int
    missing: int
    sizes: Mapping[str, int]
    left_out: tuple[str, ...]
    lacking: tuple[str, ...] = ()
    small: Path | None = None

    def __str__(self) -> str:
        sizes = self.sizes
        missing = f"; {self.missing:,} networks are missing" if self.missing else ""
        text = (
            f"{self.networks:,} networks of {self.pieces} piece(s) in {self.folder}: "
            f"{sizes['train']:,} training and {sizes['test']:,} test conditions, "
            f"{sizes['replica']} replica(s){missing}"
        )
        if self.small is not None:
            text += f"\n{self.small.stat().st_size / 1e6:.2f} MB in {self.small}"
        return text


def merge(
    nouns: Sequence[str | Path | Results],
    folder: Path,
    common: bool = False,
    small: Path | None = None,
    progress: Callable[[Iterable], Iterable] = iter,
) -> Merged:
    """Merge pieces of a study into a folder of results, completely or not at all.

    The folder gets the table of results, the information metrics and the OOD metrics.

    Args:
        nouns: The pieces, see :func:`passband.results.pieces.find`.
        folder: The folder to write; its name is the name of the merged study.
        common: Whether test conditions that some pieces lack are left out.
        small: A zip file for the OOD metrics too, see :func:`passband.analysis.ood.small`.

    Raises:
        PassbandError: If a piece is missing or damaged, the pieces do not agree, or the folder
            exists.
    """
    check_target(folder)
    given = find_all(nouns)
    pieces = table_union.same_tests([open_piece(each) for each in given], common)
    tests = [str(id) for id in pieces[0].table.test.values]
    axes = table_union.axes_of_pieces(pieces)
    first = given[0].study
    # Without `common`, the merged study has the test conditions of the first piece.
    tested = [axes.parse(id) for id in tests]
    pieces, left_out = table_union.alike(pieces)
    found = table_union.sources(pieces)
    mixed = {each.id: each for piece in given for each in piece.study.mixtures}
    study = _study(folder.name, first, found, tested, mixed)
    command = f"passband merge {' '.join(map(str, nouns))} --into {folder}"
    attrs = provenance.attributes(study.study.name, study.digest, command) | {
        "configuration": json.dumps(study.written())
    }
    known = spectra(given)
    parts = _trusted_parts(given)
    if parts.own:
        attrs[provenance.OWN_PARTS] = json.dumps(parts.identities())
    with atomic.replacing(folder) as beside:
        beside.mkdir(parents=True)
        of_table = attrs | spectrum_attribute(known) | attributes(study.mixtures)
        pixels = study.microscope.field_px**2
        table_union.merge(pieces, beside / layout.TABLE, of_table, found, pixels)
        whole = datasets.open_folder(beside / layout.TABLE, datasets.TABLE)
        transfer = _information(study, whole, known, parts)
        datasets.write(transfer, beside / layout.INFORMATION, datasets.INFORMATION, attrs)
        metrics = ood.metrics(
            matrices(whole),
            transfer,
            study.evaluation.confidence if study.evaluation.bootstrap else None,
            progress,
            parts=parts,
        )
        of_metrics = attrs | {"replicas": whole.sizes["replica"], PIECES: whole.attrs[PIECES]}
        datasets.write(metrics, beside / layout.OOD, datasets.OOD, of_metrics)
        if small is not None:
            few = ood.small(metrics)
            rounded = {"rounding": "float32, multiples of 2^-14"}
            datasets.write(few, small, datasets.OOD, of_metrics | rounded)
    sizes = dict(whole.sizes)
    every = prod(sizes[name] for name in ("specimen", "architecture", "train", "replica"))
    own_metrics = dict.fromkeys(name for piece in given for name in piece.own_metrics)
    computed = {part.name for part in parts.own}
    return Merged(
        folder=folder,
        pieces=len(given),
        networks=len(found),
        missing=every - len(found),
        sizes=sizes,
        left_out=tuple(left_out),
        lacking=tuple(name for name in own_metrics if name not in computed),
        small=small,
    )


def _study(
    name: str,
    first: Study,
    found: Iterable[NetworkId],
    test: Sequence[Condition],
    mixed: Mapping[str, Mixture],
) -> Study:
    """Return the configuration of the merged study."""
    keys = list(found)
    axes = test[0].axes
    ids = axes.order(key.condition for key in keys)
    trained = [axes.parse(id) for id in ids if id not in mixed]
    if not trained:
        raise PassbandError(
            "the pieces have networks of mixtures only; give a piece with conditions"
        )
    replicas = max(key.replica for key in keys) + 1
    architectures = list(dict.fromkeys(key.architecture for key in keys))
    given = first.written()
    sizes = len({key.specimen for key in keys}), len(architectures), len(ids)
    given["study"] |= {
        "name": name,
        "replicas": replicas,
        "replicas_per_job": min(given["study"]["replicas_per_job"], replicas),
        "allow_incomplete": len(keys) < prod(sizes) * replicas,
    }
    given["training"]["architectures"] = architectures
    given["grid"], given["test_grid"] = grid_of(trained), grid_of(test)
    if of_mixtures := [id for id in ids if id in mixed]:
        blocks = [configuration_of(mixed[id]) for id in of_mixtures]
        given["grid"] = [given["grid"], *blocks]
    try:
        study = validate_stored(given, "the merged study")
    except ConfigError as error:
        raise PassbandError(str(error).splitlines()[0]) from None
    if study.train_ids != ids:
        words = ", ".join(of_mixtures)
        raise PassbandError(f"the mixtures {words} have weights that no configuration can have")
    return study


def grid_of(conditions: Sequence[Condition]) -> dict[str, Any]:
    """Return the configuration of conditions: a product of axes if they are one, or points."""
    names = conditions[0].axes.names
    axes = {name: sorted({c.value(name) for c in conditions}) for name in names}
    if prod(map(len, axes.values())) == len(conditions):
        return axes
    return {"points": [{name: c.value(name) for name in names} for c in conditions]}


def _trusted_parts(pieces: Sequence[Found]) -> Parts:
    """Return the parts of the first piece whose own parts may run; or else the package's alone."""
    every = (piece.study.known_parts for piece in pieces)
    return next((parts for parts in every if parts.own and parts.is_trusted), PACKAGE)


def _information(
    study: Study, whole: xr.Dataset, known: Mapping[str, Spectrum], parts: Parts
) -> xr.Dataset:
    """Return the information metrics of the merged conditions, as the workflow computes them."""
    return mixture_metrics.metrics(
        along(whole, "train"),
        study.mixtures,
        along(whole, "test"),
        microscope=study.microscope,
        spectra={"flat": flat_spectrum(), **known},
        seed=study.study.seed,
        bands=study.information.bands_per_A,
        parts=parts,
    )
