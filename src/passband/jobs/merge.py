"""Merges parts of a study that were computed on several machines, and packs a part in small files.

The tables are joined in :mod:`passband.analysis.merged`. This module finds the parts, compares
their configurations, and makes the stores that other commands need: the table, the information
metrics and the OOD metrics.
"""

import json
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import ceil, prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import xarray as xr

from passband import PassbandError
from passband.analysis import information, merged, ood, table
from passband.analysis.merged import PARTS, Part
from passband.analysis.packed import IMAGE_DICE, OWN, packed
from passband.analysis.profiles import SPECTRUM
from passband.config import ConfigError, Study, validate
from passband.grid import AXES, Condition
from passband.jobs import layout
from passband.jobs.locate import locate_results
from passband.storage import DamagedError, StoreError, atomic, datasets, provenance

#: Keys of the configuration that may differ between parts: which networks a part has, how its jobs
#: are divided, and how results are analysed.
MAY_DIFFER = (
    "study.name",
    "study.replicas",
    "study.replicas_per_job",
    "study.conditions_per_job",
    "study.structures_per_shard",
    "study.allow_incomplete",
    "grid",
    "test_grid",
    "training.architectures",
    "evaluation",
    "information",
    "distances",
    "figures",
)
#: The attributes of a part that the merged table keeps.
_PROVENANCE = ("study", "config_digest", "passband_version", "git_revision", "command", "created")


@dataclass(frozen=True)
class Opened:
    """A part, the study in its attributes, and the spectra of specimens that are known.

    Attributes
    ----------
    part : Part
        The table and its provenance.
    study : Study
        The configuration.
    spectra : dict of str to (q, P)
        For each specimen, frequencies [1/Å] and power spectral density [Å²].
    """

    part: Part
    study: Study
    spectra: Mapping[str, tuple[np.ndarray, np.ndarray]]


def open_part(noun: str | Path) -> Opened:
    """Open a part of a study.

    Parameters
    ----------
    noun : str or path
        The study's name, file or folder of results, a table of results ``table.zarr``, or a file
        from ``passband pack``.

    Raises
    ------
    PassbandError
        If there is no such part, or if it is damaged or has no configuration.
    """
    path = Path(noun)
    results = None
    try:
        if path.name.endswith(".zarr.zip"):
            opened = _open_zip(path)
        elif path.suffix == ".zarr":
            opened, results = table.load(path), path.absolute().parent
        else:
            results = locate_results(path)
            if not (results / layout.TABLE).exists():
                raise PassbandError(
                    f"{noun}: has no {layout.TABLE}; run this part to its end first"
                )
            opened = table.load(results / layout.TABLE)
    except DamagedError as error:
        raise PassbandError(f"{error.what}; make this part again") from None
    if "configuration" not in opened.attrs or "status" not in opened:
        raise PassbandError(
            f"{noun}: does not name its study and its networks; give a folder of results, a table "
            "of results or a file from passband pack"
        )
    study = validate(json.loads(opened.attrs["configuration"]), str(noun))
    if PARTS in opened.attrs:
        origin = tuple(json.loads(opened.attrs[PARTS]))
    else:
        kept = {name: opened.attrs[name] for name in _PROVENANCE if name in opened.attrs}
        origin = ({"part": path.name} | kept,)
    return Opened(Part(str(noun), opened, origin), study, _spectra(opened, study, results))


def _open_zip(path: Path) -> xr.Dataset:
    """Return the content of a zip file with a packed table or a table of results."""
    kind = datasets.PACKED
    with suppress(OSError, ValueError, KeyError, zipfile.BadZipFile):
        with zipfile.ZipFile(path) as archive:
            own = json.loads(archive.read("zarr.json"))["attributes"]["kind"]
        kind = own if own == datasets.TABLE else kind
    return datasets.read(path, kind)


def _spectra(
    opened: xr.Dataset, study: Study, results: Path | None
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the spectra of trained specimens, from the table or from the exit waves."""
    known = json.loads(opened.attrs.get(SPECTRUM, "{}"))
    found = {name: (np.array(q), np.array(power)) for name, (q, power) in known.items()}
    for name in study.trained_specimens:
        if name in found or results is None:
            continue
        files = [results / file for file in layout.shards(study, name, "train")]
        if not all(file.exists() for file in files):
            continue
        from passband.specimens import exit_waves  # ase takes seconds to import

        with suppress(StoreError):
            mean = exit_waves.mean_power(list(map(str, files)), (study.study.seed, name, "train"))
            found[name] = mean.q.values, study.microscope.sampling.density(mean.values)
    return found


def check_agreement(parts: Sequence[Opened]) -> None:
    """Check that parts are of one study: all keys are equal, except :data:`MAY_DIFFER`.

    Raises
    ------
    PassbandError
        If a key differs. The message of one line has the key and both values.
    """
    flat = [dict(_flat(each.study.model_dump(mode="json"))) for each in parts]
    first = flat[0]
    for each, own in zip(parts[1:], flat[1:], strict=True):
        for key in [*first, *(key for key in own if key not in first)]:
            if any(key == free or key.startswith(f"{free}.") for free in MAY_DIFFER):
                continue
            values = [json.dumps(keys.get(key), ensure_ascii=False) for keys in (first, own)]
            if values[0] != values[1]:
                raise PassbandError(
                    f"{key}: {values[0]} in {parts[0].part.name}, {values[1]} in "
                    f"{each.part.name}; the parts of a study must agree"
                )


def _flat(block: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in block.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def check_target(folder: Path) -> None:
    """Check that a folder does not exist yet, or is empty.

    Raises
    ------
    PassbandError
        If something is there, or if the folder around it is missing.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise PassbandError(f"--into = {str(folder)!r}: exists; give a new folder, or delete it")


@dataclass(frozen=True)
class Merged:
    """What a merge has written.

    Attributes
    ----------
    networks : int
        Number of networks.
    missing : int
        Number of networks that the table has no results of.
    sizes : dict of str to int
        Number of specimens, training conditions, and so on.
    left_out : tuple of str
        Variables that are not in all parts.
    is_packed : bool
        Whether the table has the Dice of images in eight bits, and no counts.
    """

    networks: int
    missing: int
    sizes: Mapping[str, int]
    left_out: tuple[str, ...]
    is_packed: bool


def merge(
    nouns: Sequence[str | Path],
    folder: Path,
    common: bool = False,
    small: Path | None = None,
    progress: Callable[[Iterable], Iterable] = iter,
) -> Merged:
    """Merge parts of a study into a folder of results, completely or not at all.

    The folder gets the table of results, the information metrics and the OOD metrics.

    Parameters
    ----------
    nouns : sequence of str or path
        The parts, see :func:`open_part`.
    folder : path
        The folder to write; its name is the name of the merged study.
    common : bool
        Whether test conditions that some parts lack are left out.
    small : path, optional
        A zip file for the OOD metrics too, see :func:`passband.analysis.ood.small`.
    progress : callable
        Wraps the iterable of groups of networks, and shows the progress.

    Raises
    ------
    PassbandError
        If a part is missing or damaged, the parts do not agree, or the folder exists.
    """
    check_target(folder)
    opened = [open_part(noun) for noun in nouns]
    check_agreement(opened)
    parts, left_out = merged.alike(merged.same_tests([each.part for each in opened], common))
    found = merged.sources(parts)
    study = _study(folder.name, opened, found, [str(id) for id in parts[0].table.test.values])
    command = f"passband merge {' '.join(map(str, nouns))} --into {folder}"
    attrs = provenance.attributes(study.study.name, study.digest, command) | {
        "configuration": study.model_dump_json()
    }
    spectra = {name: curve for each in reversed(opened) for name, curve in each.spectra.items()}
    with atomic.replacing(folder) as beside:
        beside.mkdir(parents=True)
        own = attrs | (
            {SPECTRUM: json.dumps({n: [v.tolist() for v in c] for n, c in spectra.items()})}
            if spectra
            else {}
        )
        networks = merged.merge(parts, beside / layout.TABLE, own, datasets.TABLE, found)
        whole = table.load(beside / layout.TABLE)
        transfer = _information(study, whole, spectra)
        datasets.write(transfer, beside / layout.INFORMATION, datasets.INFORMATION, attrs)
        metrics = ood.metrics(
            whole,
            transfer,
            study.evaluation.bootstrap,
            study.evaluation.confidence,
            study.study.seed,
            progress,
        )
        own = attrs | {"replicas": whole.sizes["replica"], PARTS: whole.attrs[PARTS]}
        datasets.write(metrics, beside / layout.OOD, datasets.OOD, own)
        if small is not None:
            few = ood.small(metrics)
            rounded = {"rounding": "float32, multiples of 2^-14"}
            datasets.write(few, small, datasets.OOD, own | rounded)
    missing = int((networks[merged.PART] < 0).sum())
    return Merged(
        len(found),
        missing,
        dict(whole.sizes),
        tuple(left_out),
        IMAGE_DICE in whole,
    )


def _study(
    name: str, opened: Sequence[Opened], found: Iterable[tuple[str, str, str, int]], test: list[str]
) -> Study:
    """Return the configuration of the merged study."""
    keys = list(found)
    trained = sorted({key[2] for key in keys}, key=Condition.parse)
    replicas = max(key[3] for key in keys) + 1
    architectures = list(dict.fromkeys(key[1] for key in keys))
    given = opened[0].study.model_dump(mode="json")
    sizes = [len({key[k] for key in keys}) for k in range(3)]
    given["study"] |= {
        "name": name,
        "replicas": replicas,
        "replicas_per_job": min(given["study"]["replicas_per_job"], replicas),
        "allow_incomplete": len(keys) < prod(sizes) * replicas,
    }
    given["training"]["architectures"] = architectures
    given["grid"], given["test_grid"] = grid_of(trained), grid_of(test)
    try:
        return validate(given, "the merged study")
    except ConfigError as error:
        raise PassbandError(str(error).splitlines()[0]) from None


def grid_of(ids: Sequence[str]) -> dict[str, Any]:
    """Return the configuration of conditions: a product of axes if they are one, or points."""
    every = [Condition.parse(id) for id in ids]
    axes = {name: sorted({getattr(c, name) for c in every}) for name in AXES}
    if prod(map(len, axes.values())) == len(every):
        return axes
    return {"points": [{name: getattr(c, name) for name in AXES} for c in every]}


def _information(
    study: Study, whole: xr.Dataset, spectra: Mapping[str, tuple[np.ndarray, np.ndarray]]
) -> xr.Dataset:
    """Return the information metrics of the merged conditions, as the workflow computes them."""
    block, weights = study.information, {}
    if "flat" in block.weights or not spectra:
        weights["flat"] = (np.array([0.0]), np.array([block.flat_power_A2]))
    if "specimen" in block.weights:
        weights |= spectra
    train, test = (
        [Condition.parse(str(id)) for id in whole[side].values] for side in ("train", "test")
    )
    return information.metrics(
        train,
        test,
        study.microscope,
        block.samples,
        weights,
        study.study.seed,
        block.draws,
        block.bands_per_A,
    )


def pack(noun: str | Path, folder: Path, most_bytes: int) -> list[Path]:
    """Write the packed table of a part in files of limited size, all or none.

    Parameters
    ----------
    noun : str or path
        The part, see :func:`open_part`.
    folder : path
        The folder for the files, whose names begin with the name of the study.
    most_bytes : int
        Largest size of a file.

    Returns
    -------
    list of Path
        The files. With several files, each has some of the training conditions.

    Raises
    ------
    PassbandError
        If the part is missing or damaged, if files of this study are in the folder, or if one
        training condition takes more than `most_bytes`.
    """
    opened = open_part(noun)
    name = opened.study.study.name
    if there := sorted(folder.glob(f"{name}.zarr.zip")) + sorted(folder.glob(f"{name}-*.zarr.zip")):
        raise PassbandError(f"{there[0]}: exists; delete it, or give another folder with --into")
    whole = opened.part.table
    small = whole if IMAGE_DICE in whole else packed(whole)
    small = (
        small.drop_vars([merged.PART, "dice", f"{OWN}dice"], errors="ignore").load().drop_encoding()
    )
    spectra = {n: [v.tolist() for v in curve] for n, curve in opened.spectra.items()}
    attrs = {n: whole.attrs[n] for n in (*_PROVENANCE, "configuration") if n in whole.attrs}
    attrs |= {SPECTRUM: json.dumps(spectra)} if spectra else {}
    rows, number = small.sizes["train"], 1
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".") as temporary:
        while True:
            beside = Path(temporary) / f"{number}"
            written = []
            for k, places in enumerate(np.array_split(np.arange(rows), number), 1):
                file = beside / (f"{name}.zarr.zip" if number == 1 else f"{name}-{k:02d}.zarr.zip")
                datasets.write(small.isel(train=places), file, datasets.PACKED, attrs)
                written.append(file)
            largest = max(file.stat().st_size for file in written)
            if largest <= most_bytes:
                break
            if number == rows:
                raise PassbandError(
                    f"--most-mb = {most_bytes / 1e6:g}: one training condition takes "
                    f"{largest / 1e6:.3g} MB; give a larger number"
                )
            number = min(rows, max(number + 1, ceil(number * largest / most_bytes)))
        return [file.rename(folder / file.name) for file in written]
