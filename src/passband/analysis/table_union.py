"""Joins tables of results, or packed tables, of pieces of one study to one table."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from itertools import product
from pathlib import Path

import dask.array as da
import numpy as np
import xarray as xr
import zarr

from passband.analysis.table import NO_COUNT, STATUS, counts_of, missing_value
from passband.errors import PassbandError
from passband.grid import Axes
from passband.matrices.packed import IMAGE_DICE, OWN, packed, packed_mean
from passband.matrices.stored import NETWORK
from passband.matrices.table_images import images_of
from passband.network_id import NetworkId
from passband.storage import atomic, datasets

#: Largest difference of the mean Dice of a cell, if two pieces have the same network. Devices round
#: differently, and training amplifies this: losses agree within 2% (docs/performance.md).
TOLERANCE = 0.02
#: The variable with the piece that each network comes from.
PIECE = "part"
#: The attribute with all pieces.
PIECES = "parts"

# The dimensions along which pieces must agree, each with what to do if they do not.
_ADVICE = {
    "test_specimen": "pieces must agree",
    "test": "test all pieces under it, or leave it out with --common",
}
# The dimensions that are joined, or along which pieces are known to agree.
_JOINED = {*NETWORK, *_ADVICE, "structure", "outcome"}
# Number of training conditions in a chunk of a packed table, which has little data for each.
_PACKED_ROWS = 64


@dataclass(frozen=True)
class Piece:
    """A piece of a study.

    Attributes:
        name: What the user calls the piece, such as its folder of results.
        table: The table of results, or a packed table. Its variables may be on disk.
        provenance: The provenance of each piece that this table was made from; one, if it was not
            merged.
    """

    name: str
    table: xr.Dataset
    provenance: tuple[Mapping[str, str], ...]


@dataclass(frozen=True)
class Source:
    """Where the results of a network are: the number of the piece, and the index in its table."""

    piece: int
    place: tuple[int, int, int, int]


def same_tests(pieces: Sequence[Piece], common: bool = False) -> list[Piece]:
    """Return the pieces with the same test conditions, in the same order.

    Args:
        common: Whether test conditions that some pieces lack are left out. Otherwise they are an
            error.

    Raises:
        PassbandError: If pieces have other test specimens, other numbers of structures or, without
            `common`, other test conditions; or if no test condition is in all pieces.
    """
    first = pieces[0]
    for piece in pieces[1:]:
        for dimension, advice in _ADVICE.items():
            mine, others = (set(p.table[dimension].values.tolist()) for p in (first, piece))
            if mine == others or (common and dimension != "test_specimen"):
                continue
            lacking = sorted(mine ^ others)[0]
            has, lacks = (first, piece) if lacking in mine else (piece, first)
            raise PassbandError(
                f"{dimension} = {lacking}: is in {has.name} and not in {lacks.name}; {advice}"
            )
        sizes = [p.table.sizes["structure"] for p in (first, piece)]
        if sizes[0] != sizes[1]:
            raise PassbandError(
                f"structures: {sizes[0]} in {first.name}, {sizes[1]} in {piece.name}; must agree"
            )
    ids = set.intersection(*({str(v) for v in piece.table.test.values} for piece in pieces))
    if not ids:
        raise PassbandError(f"--common: no test condition is in all {len(pieces)} pieces")
    order = {
        "test": axes_of_pieces(pieces).order(ids),
        "test_specimen": [str(name) for name in first.table.test_specimen.values],
    }
    return [replace(piece, table=piece.table.sel(order)) for piece in pieces]


def sources(pieces: Sequence[Piece]) -> dict[NetworkId, Source]:
    """Return where the results of each network are; of several pieces that have it, in the first.

    Raises:
        PassbandError: If two pieces have the same network, and the mean Dice of a cell differs by
            more than :data:`TOLERANCE`; if a network has no Dice; or if no piece has a network.
    """
    found: dict[NetworkId, Source] = {}
    means = [
        images_of(piece.table).mean_scores().transpose(*NETWORK, ...).values for piece in pieces
    ]
    for number, piece in enumerate(pieces):
        names = [piece.table[dimension].values.tolist() for dimension in NETWORK]
        status = piece.table.status.transpose(*NETWORK).values
        for place in map(tuple, np.argwhere(status == STATUS["done"])):
            key = NetworkId(*(values[k] for values, k in zip(names, place, strict=True)))
            if not np.isfinite(means[number][place]).any():
                raise PassbandError(
                    f"network {key}: is done in {piece.name}, but has no Dice; make this piece "
                    "again"
                )
            before = found.setdefault(key, Source(number, place))
            if before.piece == number:
                continue
            one = means[before.piece][before.place]
            other = means[number][place]
            apart = np.abs(one - other)
            if not np.nanmax(apart) <= TOLERANCE:
                worst = np.unravel_index(np.nanargmax(apart), apart.shape)
                test = str(piece.table.test.values[worst[1]])
                raise PassbandError(
                    f"network {key}: its Dice under {test} is "
                    f"{one[worst]:.4f} in {pieces[before.piece].name} and {other[worst]:.4f} in "
                    f"{piece.name}; must agree within {TOLERANCE}"
                )
    if not found:
        raise PassbandError(f"{pieces[0].name}: no piece has a network with results")
    return found


def axes_of_pieces(pieces: Sequence[Piece]) -> Axes:
    """Return the axes that any piece has."""
    return Axes({name: x for piece in pieces for name, x in Axes.of(piece.table).own.items()})


def _with_means(table: xr.Dataset) -> xr.Dataset:
    """Return a packed table with the mean Dice of each cell."""
    names = [before for before in ("", OWN) if f"{before}{IMAGE_DICE}" in table]
    return table.assign({f"{before}dice": packed_mean(table, before) for before in names})


def alike(pieces: Sequence[Piece]) -> tuple[list[Piece], list[str]]:
    """Return the pieces in the same form, and the names of variables that not all pieces have.

    If a piece is packed, all pieces are packed. A variable is kept, whatever its name, if all
    pieces have it along the same dimensions, with the same values along those that only it has.
    Otherwise it is left out.
    """
    given = {name for piece in pieces for name in piece.table.data_vars}
    if any(IMAGE_DICE in piece.table for piece in pieces):
        given -= {name for piece in pieces for name in counts_of(piece.table)}  # they become Dice
        pieces = [replace(piece, table=_with_means(packed(piece.table))) for piece in pieces]
    names = [set(piece.table.data_vars) - {PIECE} for piece in pieces]
    shared = {name for name in set.intersection(*names) if _agree([p.table[name] for p in pieces])}
    left_out = sorted(given.union(*names) - shared - {PIECE})
    kept = sorted(shared)
    # Sums of pixels are stored in 16 bits if all sums of the piece fit.
    types = {name: np.result_type(*(piece.table[name].dtype for piece in pieces)) for name in kept}
    chosen = []
    for piece in pieces:
        table = piece.table[[*kept, *({PIECE} & {*piece.table})]]
        other = {n: table[n].astype(t) for n, t in types.items() if table[n].dtype != t}
        chosen.append(replace(piece, table=table.assign(other)))
    return chosen, left_out


def _agree(variables: Sequence[xr.DataArray]) -> bool:
    """Return whether one variable of all pieces can be joined to one, network by network."""
    if not all({*NETWORK} <= {*v.dims} == {*variables[0].dims} for v in variables):
        return False
    # What is left has the dimensions along which pieces are not known to agree.
    further = [v.isel({d: 0 for d in v.dims if d in _JOINED}, drop=True) for v in variables]
    first = further[0]
    return all(
        each.sizes == first.sizes and each.coords.to_dataset().equals(first.coords.to_dataset())
        for each in further
    )


def merge(
    pieces: Sequence[Piece],
    path: Path,
    attrs: Mapping[str, str],
    found: Mapping[NetworkId, Source],
    pixels: int,
) -> None:
    """Write the table of all pieces, completely or not at all.

    The variable `part` (specimen, architecture, train, replica) int16 is the number of the piece
    that each network comes from, as an index of :data:`PIECES`; −1 for missing networks.

    Args:
        pieces: The pieces, from :func:`same_tests` and :func:`alike`.
        attrs: Attributes of the table. The attribute :data:`PIECES` is added.
        found: The result of :func:`sources`.
        pixels: Number of pixels of an image, which its counts cannot exceed.

    Raises:
        PassbandError: If the counts of an image exceed its pixels.
    """
    axes = axes_of_pieces(pieces)
    sizes: dict[str, list] = {
        "specimen": list(dict.fromkeys(key.specimen for key in found)),
        "architecture": list(dict.fromkeys(key.architecture for key in found)),
        "train": axes.order({key.condition for key in found}),
        "replica": sorted({key.replica for key in found}),
    }
    provenance = [each for piece in pieces for each in piece.provenance]
    first = np.cumsum([0, *(len(piece.provenance) for piece in pieces)])
    origin = np.full([len(values) for values in sizes.values()], -1, np.int16)
    index = {name: {value: k for k, value in enumerate(sizes[name])} for name in NETWORK}
    merged_before = [
        piece.table[PIECE].transpose(*NETWORK).values if PIECE in piece.table else None
        for piece in pieces
    ]
    for key, source in found.items():
        place = tuple(index[name][value] for name, value in zip(NETWORK, astuple(key), strict=True))
        numbers = merged_before[source.piece]
        origin[place] = first[source.piece]
        origin[place] += 0 if numbers is None else numbers[source.place]
    template = pieces[0].table.drop_vars(PIECE, errors="ignore")
    is_packed = IMAGE_DICE in template
    rows = _PACKED_ROWS if is_packed else 1
    attrs = {**attrs, PIECES: json.dumps(provenance), "kind": datasets.TABLE}
    words = f"number of the part that the network comes from, see the attribute {PIECES}"
    networks = xr.Dataset({PIECE: (NETWORK, origin, {"long_name": words, "missing": -1})})
    with atomic.replacing(path) as beside:
        empty = _template(template, sizes, axes)
        chunks = {"specimen": 1, "architecture": 1, "train": rows}
        datasets.create(empty.assign_attrs(attrs), beside, chunks, fill=counts_of(empty))
        group = zarr.open_group(beside, mode="r+")
        by_row: dict[NetworkId, list[tuple[int, Source]]] = {}
        for key, source in found.items():
            by_row.setdefault(key.cell, []).append((index["replica"][key.replica], source))
        for s, a, start in product(
            range(len(sizes["specimen"])),
            range(len(sizes["architecture"])),
            range(0, len(sizes["train"]), rows),
        ):
            trains = sizes["train"][start : start + rows]
            kind = sizes["specimen"][s], sizes["architecture"][a]
            lists = [by_row.get(NetworkId(*kind, t), []) for t in trains]
            for name, variable in template.data_vars.items():
                values = _rows(pieces, name, lists, len(sizes["replica"]), variable, pixels)
                group[name][s, a, start : start + len(trains)] = values
        datasets.create(networks.assign_attrs(attrs), beside, {}, add=True)
        datasets.consolidate(beside)


def _template(table: xr.Dataset, sizes: Mapping[str, list], axes: Axes) -> xr.Dataset:
    """Return a table with other networks and without values, which takes no memory."""
    variables = {}
    for name, variable in table.data_vars.items():
        dims = _ordered(variable)
        shape = [len(sizes[d]) if d in sizes else variable.sizes[d] for d in dims]
        empty = da.full(shape, missing_value(variable), dtype=variable.dtype, chunks=-1)
        variables[name] = (dims, empty, variable.attrs)
    coords = {
        name: coordinate.variable
        for name, coordinate in table.coords.items()
        if not {*NETWORK} & {*coordinate.dims}
    }
    own = {name: sizes[name] for name in NETWORK}
    for side, ids in (("train", sizes["train"]), ("test", table.test.values.tolist())):
        own |= axes.coordinates(ids, side)
    return xr.Dataset(variables, coords | own).drop_encoding()


def _ordered(variable: xr.DataArray) -> list[str]:
    """Return the dimensions of a variable, those of networks first."""
    own = [name for name in NETWORK if name in variable.dims]
    return own + [name for name in variable.dims if name not in own]


def _rows(
    pieces: Sequence[Piece],
    name: str,
    rows: Sequence[Sequence[tuple[int, Source]]],
    replicas: int,
    like: xr.DataArray,
    pixels: int,
) -> np.ndarray:
    """Return the stored values of a variable for several training conditions."""
    dims = _ordered(like)
    rest = [like.sizes[d] for d in dims if d not in NETWORK]
    values = np.full([len(rows), replicas, *rest], missing_value(like), like.dtype)
    for k, row in enumerate(rows):
        for number in dict.fromkeys(source.piece for _, source in row):
            places = [(r, source.place) for r, source in row if source.piece == number]
            s, a, t, _ = places[0][1]
            at = {"specimen": s, "architecture": a, "train": t}
            own = pieces[number].table[name].isel(at).transpose(*dims[3:]).values
            if "outcome" in dims:
                counted = own.sum(-1)
                # The stored form of a missing count is the largest number of 32 bits.
                at_place = dims[3:-1].index("structure")
                missing = np.isnan(own).any(-1)
                in_part = np.any(missing, at_place) & ~np.all(missing, at_place)
                largest = NO_COUNT if in_part.any() else np.nanmax(counted, initial=0)
                if largest > pixels:
                    raise PassbandError(
                        f"{pieces[number].name}: {name} of train = "
                        f"{pieces[number].table.train.values[t]} has an image of "
                        f"{largest:.0f} pixels, must be at most {pixels}; make this piece again"
                    )
            values[k, [r for r, _ in places]] = own[[place[3] for _, place in places]]
    if "outcome" in dims:
        return np.where(np.isnan(values), NO_COUNT, values).astype(np.uint32)
    return values
