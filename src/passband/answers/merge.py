"""Merges pieces of a study that were computed on several machines.

What the pieces have in their stores is linked into the store of one study, where each job finds it
by its recipe. So `passband run` makes the table of the whole, and trains only what no piece has.
"""

import json
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

from passband.config import SOURCE, ConfigError, Study, validate
from passband.config.mixture_block import configuration_of
from passband.errors import ArgumentError, PassbandError
from passband.grid import Axes, Condition
from passband.outcomes import Outcome
from passband.parts import FOLDER
from passband.results import Results, changed, layout, listing, locate, network_batches
from passband.storage import atomic
from passband.store.networks import StoredNetworks
from passband.store.recipe import Recipes

#: Keys of the configuration that may differ between pieces: which networks a piece has, how its
#: jobs are divided, and how results are analysed.
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
    "figures",
)
#: The folders of the store whose files are linked.
_LINKED = tuple(path.partition("/")[0] for path in (layout.WAVES, layout.WEIGHTS, layout.RECORD))


@dataclass(frozen=True)
class Merged(Outcome):
    """What a merge has written.

    Attributes:
        folder: The new folder of results.
        pieces: Number of pieces.
        networks: Number of networks that the pieces have.
        missing: Number of networks of the merged study that no piece has.
    """

    folder: Path
    pieces: int
    networks: int
    missing: int

    def __str__(self) -> str:
        missing = f", which also trains {self.missing:,} that are missing" if self.missing else ""
        return (
            f"{self.networks:,} networks of {self.pieces} piece(s) are linked in {self.folder}; "
            f"`passband run {self.folder.name}` makes the table{missing}"
        )


def merge(nouns: Sequence[str | Path | Results], folder: Path, common: bool = False) -> Merged:
    """Link the exit waves, networks and records of pieces into one study, wholly or not at all.

    Args:
        nouns: The pieces: studies, their names, files or folders of results.
        folder: The folder of results to write; its name is the name of the merged study.
        common: Whether test conditions that some pieces lack are left out.

    Raises:
        PassbandError: If a piece is missing, the pieces do not agree, or the folder exists.
    """
    check_target(folder)
    pieces = [each if isinstance(each, Results) else Results.find(each) for each in nouns]
    for piece in pieces:
        piece.existing().check_trusted()
        listing.check(piece.folder)
        listing.refuse_02(piece.folder)
    _check_keys(pieces)
    study = _study(folder.name, pieces, _tests(pieces, common))
    _check_recipes(pieces, study)
    with atomic.replacing(folder) as beside:
        changed.write(Results(study, beside, beside / layout.STUDY, folder.name))
        if (parts := pieces[0].study.known_parts.folder) is not None:
            shutil.copytree(parts, beside / FOLDER)
        for piece in pieces:
            _link(piece.path(layout.STORE), beside / layout.STORE)
        networks = _networks(Results(study, beside))
    every = prod((len(study.training.architectures), study.train_number, study.study.replicas))
    return Merged(
        folder=folder,
        pieces=len(pieces),
        networks=networks,
        missing=every * len(study.trained_specimens) - networks,
    )


def check_target(folder: Path) -> None:
    """Raise ArgumentError if a folder is none of results, or exists and is not empty."""
    if folder.name in ("", "..") or folder.absolute().parent.name != locate.RESULTS.name:
        raise ArgumentError(
            f"into = {str(folder)!r}: must be a new folder in the folder {locate.RESULTS}, such as "
            "results/whole"
        )
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ArgumentError(f"into = {str(folder)!r}: exists; give a new folder, or delete it")


def _check_keys(pieces: Sequence[Results]) -> None:
    """Raise PassbandError if a key differs that is not in :data:`MAY_DIFFER`."""
    first, *others = (dict(_flat(piece.study.model_dump(mode="json"))) for piece in pieces)
    for piece, own in zip(pieces[1:], others, strict=True):
        for key in dict.fromkeys([*first, *own]):
            if any(key == free or key.startswith(f"{free}.") for free in MAY_DIFFER):
                continue
            values = [json.dumps(keys.get(key), ensure_ascii=False) for keys in (first, own)]
            if values[0] != values[1]:
                raise PassbandError(
                    f"{key}: {values[0]} in {pieces[0]}, {values[1]} in {piece}; the pieces of a "
                    "study must agree"
                )


def _flat(block: dict[str, Any], before: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in block.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _check_recipes(pieces: Sequence[Results], study: Study) -> None:
    """Raise PassbandError if what a piece has made was made otherwise than the whole makes it."""
    whole = Recipes(study)
    for piece in pieces:
        of = piece.study
        own = Recipes(of)
        networks = product(of.trained_specimens, of.training.architectures, of.train_ids)
        tests = product(of.specimens, of.tested_waves)
        made = [(own.networks(*each), whole.networks(*each)) for each in networks]
        made += [(own.results(*each), whole.results(*each)) for each in tests]
        for one, other in made:
            if one.digest != other.digest:
                what = next(iter(one.differs(other)), "another recipe")
                raise PassbandError(f"{piece}: {what}; the pieces of a study must agree")


def _tests(pieces: Sequence[Results], common: bool) -> list[Condition]:
    """Return the test conditions of the merged study.

    Raises:
        PassbandError: If pieces have others, and `common` is not given; or if none is in all.
    """
    ids = [{condition.id for condition in piece.study.test_conditions} for piece in pieces]
    shared = set.intersection(*ids)
    for piece, own in zip(pieces[1:], ids[1:], strict=True):
        if own != ids[0] and not common:
            lacking = sorted(own ^ ids[0])[0]
            has, lacks = (pieces[0], piece) if lacking in ids[0] else (piece, pieces[0])
            raise PassbandError(
                f"test = {lacking}: is in {has} and not in {lacks}; test all pieces under it, or "
                "leave it out with --common"
            )
    if not shared:
        raise PassbandError(f"--common: no test condition is in all {len(pieces)} pieces")
    axes = _axes(pieces)
    return [axes.parse(id) for id in axes.order(shared)]


def _axes(pieces: Sequence[Results]) -> Axes:
    """Return the axes that any piece has."""
    return Axes({name: x for piece in pieces for name, x in piece.study.axes.own.items()})


def _study(name: str, pieces: Sequence[Results], test: Sequence[Condition]) -> Study:
    """Return the configuration of the merged study."""
    studies = [piece.study for piece in pieces]
    axes = _axes(pieces)
    mixed = {mixture.id: mixture for each in studies for mixture in each.mixtures}
    ids = axes.order({id for each in studies for id in each.train_ids})
    trained = [axes.parse(id) for id in ids if id not in mixed]
    given = studies[0].written()
    replicas = max(each.study.replicas for each in studies)
    given["study"] |= {
        "name": name,
        "replicas": replicas,
        "replicas_per_job": min(given["study"]["replicas_per_job"], replicas),
    }
    given["training"]["architectures"] = list(
        dict.fromkeys(one for each in studies for one in each.training.architectures)
    )
    given["grid"], given["test_grid"] = grid_of(trained), grid_of(test)
    if of_mixtures := [id for id in ids if id in mixed]:
        given["grid"] = [given["grid"], *(configuration_of(mixed[id]) for id in of_mixtures)]
    try:
        study = validate(given | {SOURCE: str(pieces[0].file)}, "the merged study")
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


def _link(store: Path, target: Path) -> None:
    """Link the files of a piece's store that the target does not have."""
    for name in _LINKED:
        for path in sorted((store / name).rglob("*")):
            to = target / path.relative_to(store)
            if path.is_file() and not path.name.startswith(".") and not os.path.lexists(to):
                atomic.link(path, to)


def _networks(results: Results) -> int:
    """Return how many networks of a study are in its store, by their recipes."""
    number = 0
    for batch in network_batches.batches_of(results.study):
        found = StoredNetworks(results, batch).find()
        number += sum(len(cell.weights) for cells in found.values() for cell in cells)
    return number
