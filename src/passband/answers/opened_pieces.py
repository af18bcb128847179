"""Pieces of a study that are opened, and checked, since they may be from somebody else."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import xarray as xr

from passband.analysis.spectra import (
    SPECTRUM,
    Spectrum,
    joined,
    mean_spectrum,
    set_ids,
    stored_spectra,
    to_json,
)
from passband.analysis.table_union import PIECES, Piece
from passband.errors import PassbandError
from passband.matrices.packed import IMAGE_DICE, OWN
from passband.matrices.stored import NETWORK
from passband.results import Results
from passband.results.pieces import Found
from passband.results.stores import check_ids
from passband.storage import DamagedError, StoreError, datasets, json_text

#: The attributes of a piece that the merged table keeps.
PROVENANCE = ("study", "config_digest", "passband_version", "git_revision", "command", "created")

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
    f"{OWN}tp": ("u", _CELL[:-1]),
    f"{OWN}fp": ("u", _CELL[:-1]),
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
    kept = {name: found.attrs[name] for name in PROVENANCE if name in found.attrs}
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

    Sums of pixels of a packed table must not exceed those of its images. Counts and Dice are
    checked when they are read, see :mod:`passband.analysis.table_union`.
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
    most = study.microscope.field_px**2 * opened.sizes["structure"]
    for before in ("", OWN):
        if f"{before}tp" in opened and f"{before}fp" in opened:
            pixels = opened[f"{before}tp"].astype("u8") + opened[f"{before}fp"].astype("u8")
            if (largest := int(pixels.max())) > most:
                raise PassbandError(
                    f"{found.name}: {before}tp + {before}fp = {largest:,} pixels, must be at most "
                    f"{most:,}, those of its {opened.sizes['structure']} images; make this piece "
                    "again"
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


def spectrum_attribute(known: Mapping[str, Spectrum]) -> dict[str, str]:
    """Return the attribute of a table with the spectra of specimens; none without spectra."""
    curves = {name: to_json(curve) for name, curve in known.items()}
    return {SPECTRUM: json.dumps(curves)} if curves else {}
