"""Merges pieces of a study, computed on several machines, and packs a piece in small files.

The tables are joined in :mod:`passband.analysis.table_union`. This module finds the pieces,
compares their configurations, and makes the stores that other commands need: the table, the
information metrics and the OOD metrics.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import ceil, prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import xarray as xr

from passband.analysis import mixture_metrics, ood, table_union
from passband.analysis.spectra import (
    SPECTRUM,
    Spectrum,
    flat_spectrum,
    joined,
    mean_spectrum,
    set_ids,
    stored_spectra,
    to_json,
)
from passband.analysis.table_union import PIECES, Piece
from passband.config import ConfigError, Study, validate_stored
from passband.config.mixture_block import configuration_of
from passband.errors import PassbandError
from passband.grid import Condition, along
from passband.matrices.of_study import matrices
from passband.matrices.packed import IMAGE_DICE, OWN, packed
from passband.matrices.stored import NETWORK
from passband.mixtures import MIXTURES, Mixture, attributes
from passband.network_id import NetworkId
from passband.outcomes import Outcome
from passband.parts import PACKAGE, Parts
from passband.results import Results, layout
from passband.results.pieces import FILE, FILES, Found, check_target, find, find_all
from passband.results.stores import check_ids
from passband.storage import DamagedError, StoreError, atomic, datasets, json_text, provenance

#: The attributes of a piece that the merged table keeps.
_PROVENANCE = ("study", "config_digest", "passband_version", "git_revision", "command", "created")

#: The variables of a table, and of a packed table, with the kinds of their types and dimensions.
_CELL = (*NETWORK, "test_specimen", "test")
_WHOLE = {
    "status": ("iu", NETWORK),
    "counts": ("f", (*_CELL, "structure", "outcome")),
    "dice": ("f", _CELL),
}
_PACKED = {
    "status": ("iu", NETWORK),
    IMAGE_DICE: ("u", (*_CELL, "structure")),
    "tp": ("u", _CELL),
    "fp": ("u", _CELL),
}
_OPTIONAL = {
    "best_epoch": ("iuf", NETWORK),
    "val_loss": ("f", NETWORK),
    f"{OWN}{IMAGE_DICE}": ("u", (*_CELL[:-1], "structure")),
}


def open_piece(found: Found) -> Piece:
    """Open the table of a piece.

    Raises:
        PassbandError: If the table is damaged, has not the variables of a table, or has values that
            cannot be.
    """
    try:
        if found.is_zip:
            whole = found.attrs.get("kind") == datasets.TABLE
            opened = datasets.read(found.path, datasets.TABLE if whole else datasets.PACKED)
        else:
            opened = datasets.open_folder(found.path, datasets.TABLE)
    except DamagedError as error:
        raise PassbandError(f"{error.what}; make this piece again") from None
    _check_variables(found, opened)
    _check_values(found, opened)
    if PIECES in found.attrs:
        return Piece(found.name, opened, _provenance(found))
    kept = {name: found.attrs[name] for name in _PROVENANCE if name in found.attrs}
    for name, text in kept.items():
        if not isinstance(text, str):
            raise PassbandError(
                f"{found.name}: its attribute {name} is no text; make this piece again"
            )
    return Piece(found.name, opened, ({"part": Path(found.name).name} | kept,))


def _provenance(found: Found) -> tuple[Mapping[str, str], ...]:
    """Return the provenance of each piece that a merged table was made from."""
    with suppress(ValueError, TypeError):
        pieces = json_text.parse(found.attrs[PIECES])
        if isinstance(pieces, list) and pieces and all(isinstance(each, dict) for each in pieces):
            return tuple(pieces)
    raise PassbandError(f"{found.name}: its attribute {PIECES} is damaged; make this piece again")


def _check_variables(found: Found, opened: xr.Dataset) -> None:
    """Check that a piece has the variables of a table, or of a packed table, and their types."""
    needed = _PACKED if IMAGE_DICE in opened else _WHOLE
    for name, (kinds, dims) in {**needed, **_OPTIONAL}.items():
        if name not in opened:
            if name in needed:
                raise PassbandError(f"{found.path}: has no variable {name}; make this piece again")
            continue
        variable = opened[name]
        if variable.dtype.kind not in kinds or {*variable.dims} != {*dims}:
            raise PassbandError(
                f"{found.path}: {name} is {variable.dtype} along {', '.join(variable.dims)}; make "
                "this piece again"
            )
    for name in (*_CELL, "structure"):
        if not opened.sizes[name]:
            raise PassbandError(f"{found.path}: has no {name}; make this piece again")
        if name != "structure" and name not in opened.coords:
            raise PassbandError(f"{found.path}: has no names along {name}; make this piece again")


def _check_values(found: Found, opened: xr.Dataset) -> None:
    """Check that a piece has the ids of its study, each of them once, and no negative epoch.

    Counts and Dice are checked when they are read, see :mod:`passband.analysis.table_union`.
    """
    study = found.study
    known = {
        "specimen": {*study.specimens},
        "architecture": {*study.training.architectures},
        "train": {*study.train_ids},
        "replica": range(study.study.replicas),
        "test_specimen": {*study.specimens},
        "test": {c.id for c in study.test_conditions},
    }
    check_ids(found.name, opened, known, "make this piece again")
    if "best_epoch" in opened and (lowest := float(opened.best_epoch.min())) < 0:
        raise PassbandError(
            f"{found.name}: has best_epoch = {lowest:g}, must be 0 or more; make this piece again"
        )


def spectra(pieces: Sequence[Found]) -> dict[str, Spectrum]:
    """Return the spectra (q [1/Å], P [Å²]) of trained specimens that the pieces know.

    A spectrum is in the attributes of a piece, or it is computed from the piece's exit waves.
    """
    found: dict[str, Spectrum] = {}

    def add(name: str, spectrum: Spectrum) -> None:
        found[name] = joined(found[name], spectrum) if name in found else spectrum

    for piece in pieces:
        for name, spectrum in stored_spectra(piece.attrs, piece.name).items():
            if name not in piece.study.specimens:
                raise PassbandError(
                    f"{piece.name}: has a spectrum of {str(name)[:80]}, which its own "
                    "configuration has not; make this piece again"
                )
            add(name, spectrum)
    for piece in pieces:
        study = piece.study
        results = Results(study, piece.path.absolute().parent)
        for name in study.trained_specimens:
            needed = {*study.train_waves, *study.test_waves}
            if (
                (name in found and needed <= set_ids(found[name]))
                or piece.is_zip
                or not (structures := results.spectrum_structures(name))
            ):
                continue
            with suppress(StoreError):
                add(name, mean_spectrum(structures))
    return found


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
        of_table = attrs | _spectrum_attribute(known) | attributes(study.mixtures)
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


def _spectrum_attribute(known: Mapping[str, Spectrum]) -> dict[str, str]:
    """Return the attribute of a table with the spectra of specimens; none without spectra."""
    curves = {name: to_json(curve) for name, curve in known.items()}
    return {SPECTRUM: json.dumps(curves)} if curves else {}


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


def pack(noun: str | Path | Results, folder: Path, most_bytes: int = 10**6) -> list[Path]:
    """Write the packed table of a piece in files small enough for a repository.

    The files appear when all are written. Each of several files has the number of files, so that a
    merge refuses some of them without the others.

    Args:
        noun: The piece, see :func:`passband.results.pieces.find`.
        folder: The folder for the files, whose names begin with the name of the study.
        most_bytes: Largest size of a file with several training conditions.

    Returns:
        The files. With several files, each has some of the training conditions.

    Raises:
        PassbandError: If the piece is missing or damaged, or if files of this study are in the
            folder.
    """
    found = find(noun)
    name = found.study.study.name
    if there := sorted(folder.glob(f"{name}.zarr.zip")) + sorted(folder.glob(f"{name}-*.zarr.zip")):
        raise PassbandError(f"{there[0]}: exists; delete it, or give another folder")
    whole = open_piece(found).table
    of_merged = [table_union.PIECE, *(f"{name}dice" for name in ("", OWN))]
    small = packed(whole).drop_vars(of_merged, errors="ignore").load().drop_encoding()
    kept = *_PROVENANCE, "configuration", MIXTURES, provenance.OWN_PARTS
    attrs = {n: whole.attrs[n] for n in kept if n in whole.attrs}
    attrs |= _spectrum_attribute(spectra([found]))
    rows, number = small.sizes["train"], 1
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".") as temporary:
        while True:
            beside = Path(temporary) / f"{number}"
            written = []
            for k, places in enumerate(np.array_split(np.arange(rows), number), 1):
                file = beside / (f"{name}.zarr.zip" if number == 1 else f"{name}-{k:02d}.zarr.zip")
                of_file = {FILE: k, FILES: number} if number > 1 else {}
                datasets.write(small.isel(train=places), file, datasets.PACKED, attrs | of_file)
                written.append(file)
            largest = max(file.stat().st_size for file in written)
            if largest <= most_bytes or number == rows:
                break
            number = min(rows, max(number + 1, ceil(number * largest / most_bytes)))
        return [file.rename(folder / file.name) for file in written]
