"""Joins tables of results, or packed tables, of parts of one study to one table."""

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

#: Largest difference of the mean Dice of a cell, if two parts have the same network. Devices round
#: differently, and training amplifies this: losses agree within 2% (docs/performance.md).
TOLERANCE = 0.02
#: The variable with the part that each network comes from, and the attribute with all parts.
PART, PARTS = "part", "parts"

# The dimensions along which parts must agree, each with what to do if they do not.
_ADVICE = {
    "test_specimen": "parts must agree",
    "test": "test all parts under it, or leave it out with --common",
}
# The dimensions that are joined, or along which parts are known to agree.
_JOINED = {*NETWORK, *_ADVICE, "structure", "outcome"}
# Number of training conditions in a chunk of a packed table, which has little data for each.
_PACKED_ROWS = 64


@dataclass(frozen=True)
class Part:
    """A part of a study.

    Attributes:
        name: What the user calls the part, such as its folder of results.
        table: The table of results, or a packed table. Its variables may be on disk.
        provenance: The provenance of each part that this table was made from; one, if it was not
            merged.
    """

    name: str
    table: xr.Dataset
    provenance: tuple[Mapping[str, str], ...]


@dataclass(frozen=True)
class Source:
    """Where the results of a network are: the number of the part, and the index in its table."""

    part: int
    place: tuple[int, int, int, int]


def same_tests(parts: Sequence[Part], common: bool = False) -> list[Part]:
    """Return the parts with the same test conditions, in the same order.

    Args:
        common: Whether test conditions that some parts lack are left out. Otherwise they are an
            error.

    Raises:
        PassbandError: If parts have other test specimens, other numbers of structures or, without
            `common`, other test conditions; or if no test condition is in all parts.
    """
    first = parts[0]
    for part in parts[1:]:
        for dimension, advice in _ADVICE.items():
            mine, others = (set(p.table[dimension].values.tolist()) for p in (first, part))
            if mine == others or (common and dimension != "test_specimen"):
                continue
            lacking = sorted(mine ^ others)[0]
            has, lacks = (first, part) if lacking in mine else (part, first)
            raise PassbandError(
                f"{dimension} = {lacking}: is in {has.name} and not in {lacks.name}; {advice}"
            )
        sizes = [p.table.sizes["structure"] for p in (first, part)]
        if sizes[0] != sizes[1]:
            raise PassbandError(
                f"structures: {sizes[0]} in {first.name}, {sizes[1]} in {part.name}; must agree"
            )
    ids = set.intersection(*({str(v) for v in part.table.test.values} for part in parts))
    if not ids:
        raise PassbandError(f"--common: no test condition is in all {len(parts)} parts")
    order = {
        "test": axes_of_parts(parts).order(ids),
        "test_specimen": [str(name) for name in first.table.test_specimen.values],
    }
    return [replace(part, table=part.table.sel(order)) for part in parts]


def sources(parts: Sequence[Part]) -> dict[NetworkId, Source]:
    """Return where the results of each network are; of several parts that have it, in the first.

    Raises:
        PassbandError: If two parts have the same network, and the mean Dice of a cell differs by
            more than :data:`TOLERANCE`; if a network has no Dice; or if no part has a network.
    """
    found: dict[NetworkId, Source] = {}
    means = [images_of(part.table).mean_scores().transpose(*NETWORK, ...).values for part in parts]
    for number, part in enumerate(parts):
        names = [part.table[dimension].values.tolist() for dimension in NETWORK]
        status = part.table.status.transpose(*NETWORK).values
        for place in map(tuple, np.argwhere(status == STATUS["done"])):
            key = NetworkId(*(values[k] for values, k in zip(names, place, strict=True)))
            if not np.isfinite(means[number][place]).any():
                raise PassbandError(
                    f"network {key}: is done in {part.name}, but has no Dice; make this part again"
                )
            before = found.setdefault(key, Source(number, place))
            if before.part == number:
                continue
            one, other = means[before.part][before.place], means[number][place]
            apart = np.abs(one - other)
            if not np.nanmax(apart) <= TOLERANCE:
                worst = np.unravel_index(np.nanargmax(apart), apart.shape)
                test = str(part.table.test.values[worst[1]])
                raise PassbandError(
                    f"network {key}: its Dice under {test} is "
                    f"{one[worst]:.4f} in {parts[before.part].name} and {other[worst]:.4f} in "
                    f"{part.name}; must agree within {TOLERANCE}"
                )
    if not found:
        raise PassbandError(f"{parts[0].name}: no part has a network with results")
    return found


def axes_of_parts(parts: Sequence[Part]) -> Axes:
    """Return the axes that any part has."""
    return Axes({name: x for part in parts for name, x in Axes.of(part.table).own.items()})


def _with_means(table: xr.Dataset) -> xr.Dataset:
    """Return a packed table with the mean Dice of each cell."""
    names = [before for before in ("", OWN) if f"{before}{IMAGE_DICE}" in table]
    return table.assign({f"{before}dice": packed_mean(table, before) for before in names})


def alike(parts: Sequence[Part]) -> tuple[list[Part], list[str]]:
    """Return the parts in the same form, and the names of variables that not all parts have.

    If a part is packed, all parts are packed. A variable is kept, whatever its name, if all parts
    have it along the same dimensions, with the same values along those that only it has. Otherwise
    it is left out.
    """
    given = {name for part in parts for name in part.table.data_vars}
    if any(IMAGE_DICE in part.table for part in parts):
        given -= {name for part in parts for name in counts_of(part.table)}  # they become Dice
        parts = [replace(part, table=_with_means(packed(part.table))) for part in parts]
    names = [set(part.table.data_vars) - {PART} for part in parts]
    shared = {name for name in set.intersection(*names) if _agree([p.table[name] for p in parts])}
    left_out = sorted(given.union(*names) - shared - {PART})
    kept = sorted(shared)
    # Sums of pixels are stored in 16 bits if all sums of the part fit.
    types = {name: np.result_type(*(part.table[name].dtype for part in parts)) for name in kept}
    chosen = []
    for part in parts:
        table = part.table[[*kept, *({PART} & {*part.table})]]
        other = {n: table[n].astype(t) for n, t in types.items() if table[n].dtype != t}
        chosen.append(replace(part, table=table.assign(other)))
    return chosen, left_out


def _agree(variables: Sequence[xr.DataArray]) -> bool:
    """Return whether one variable of all parts can be joined to one, network by network."""
    if not all({*NETWORK} <= {*v.dims} == {*variables[0].dims} for v in variables):
        return False
    # What is left has the dimensions along which parts are not known to agree.
    further = [v.isel({d: 0 for d in v.dims if d in _JOINED}, drop=True) for v in variables]
    first = further[0]
    return all(
        each.sizes == first.sizes and each.coords.to_dataset().equals(first.coords.to_dataset())
        for each in further
    )


def merge(
    parts: Sequence[Part],
    path: Path,
    attrs: Mapping[str, str],
    found: Mapping[NetworkId, Source],
    pixels: int,
) -> None:
    """Write the table of all parts, completely or not at all.

    The variable `part` (specimen, architecture, train, replica) int16 is the number of the part
    that each network comes from, as an index of :data:`PARTS`; −1 for missing networks.

    Args:
        parts: The parts, from :func:`same_tests` and :func:`alike`.
        attrs: Attributes of the table. The attribute :data:`PARTS` is added.
        found: The result of :func:`sources`.
        pixels: Number of pixels of an image, which its counts cannot exceed.

    Raises:
        PassbandError: If the counts of an image exceed its pixels.
    """
    axes = axes_of_parts(parts)
    sizes: dict[str, list] = {
        "specimen": list(dict.fromkeys(key.specimen for key in found)),
        "architecture": list(dict.fromkeys(key.architecture for key in found)),
        "train": axes.order({key.condition for key in found}),
        "replica": sorted({key.replica for key in found}),
    }
    provenance = [each for part in parts for each in part.provenance]
    first = np.cumsum([0, *(len(part.provenance) for part in parts)])
    origin = np.full([len(values) for values in sizes.values()], -1, np.int16)
    index = {name: {value: k for k, value in enumerate(sizes[name])} for name in NETWORK}
    merged_before = [
        part.table[PART].transpose(*NETWORK).values if PART in part.table else None
        for part in parts
    ]
    for key, source in found.items():
        place = tuple(index[name][value] for name, value in zip(NETWORK, astuple(key), strict=True))
        numbers = merged_before[source.part]
        origin[place] = first[source.part]
        origin[place] += 0 if numbers is None else numbers[source.place]
    template = parts[0].table.drop_vars(PART, errors="ignore")
    is_packed = IMAGE_DICE in template
    rows = _PACKED_ROWS if is_packed else 1
    attrs = {**attrs, PARTS: json.dumps(provenance), "kind": datasets.TABLE}
    words = f"number of the part that the network comes from, see the attribute {PARTS}"
    networks = xr.Dataset({PART: (NETWORK, origin, {"long_name": words, "missing": -1})})
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
                values = _rows(parts, name, lists, len(sizes["replica"]), variable, pixels)
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
    parts: Sequence[Part],
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
        for number in dict.fromkeys(source.part for _, source in row):
            places = [(r, source.place) for r, source in row if source.part == number]
            s, a, t, _ = places[0][1]
            at = {"specimen": s, "architecture": a, "train": t}
            own = parts[number].table[name].isel(at).transpose(*dims[3:]).values
            if "outcome" in dims and np.nanmax(counted := own.sum(-1), initial=0) > pixels:
                raise PassbandError(
                    f"{parts[number].name}: {name} of train = {parts[number].table.train.values[t]}"
                    f" has an image of {np.nanmax(counted):g} pixels, must be at most {pixels}; "
                    "make this part again"
                )
            values[k, [r for r, _ in places]] = own[[place[3] for _, place in places]]
    if "outcome" in dims:
        return np.where(np.isnan(values), NO_COUNT, values).astype(np.uint32)
    return values
