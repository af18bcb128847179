"""Packed tables, and tables of several pieces."""

import numpy as np
import pytest
import xarray as xr

from passband import PassbandError
from passband.analysis import table_union
from passband.grid import Axes, Condition
from passband.matrices.packed import MISSING, packed, packed_mean
from passband.results.stores import load_table
from passband.scores import OUTCOMES, dice

TRAIN = [Condition(5 * k, 1.2, 15, 100).id for k in range(3)]
CELL = ("specimen", "architecture", "train", "replica", "test_specimen", "test")


def made(train=TRAIN, replicas=(0, 1), seed=0) -> xr.Dataset:
    """Return a table of random counts."""
    random, test = np.random.default_rng(seed), TRAIN[:2]
    shape = 1, 1, len(train), len(replicas), 1, len(test), 3, len(OUTCOMES)
    counts = random.integers(1, 100, shape).astype(float)
    variables = {
        "counts": ((*CELL, "structure", "outcome"), counts),
        "dice": (CELL, dice(counts).mean(-1).astype("float32")),
        "status": (CELL[:4], np.ones(shape[:4], "int8")),
    }
    coords = {"specimen": ["gold"], "architecture": ["net"], "train": train, "test": test}
    coords |= {"replica": list(replicas), "test_specimen": ["gold"], "outcome": list(OUTCOMES)}
    coords |= Axes.main.coordinates(train, "train") | Axes.main.coordinates(test, "test")
    return xr.Dataset(variables, coords)


def pieces(*tables: xr.Dataset) -> list[table_union.Piece]:
    return [table_union.Piece(name, each, ({},)) for name, each in zip("abc", tables, strict=False)]


def joined(folder, given: list[table_union.Piece]) -> xr.Dataset:
    given, left_out = table_union.alike(table_union.same_tests(given))
    assert left_out == []
    table_union.merge(given, folder / "table.zarr", {}, table_union.sources(given), 64**2)
    return load_table(folder / "table.zarr").load()


def test_a_packed_table_has_the_dice_of_each_image():
    whole = made()
    exact = dice(whole.counts.values)
    whole.counts[0, 0, 1] = np.nan
    small = packed(whole)
    there = [0, 2]
    found = small.image_dice
    assert found.dtype == np.uint8
    assert found.dims == (*CELL, "structure")
    np.testing.assert_array_equal(found[:, :, there], np.rint(254 * exact[:, :, there]))
    assert (found[:, :, 1] == MISSING).all()
    np.testing.assert_array_equal(small.train_dose_e_per_A2, [100] * 3)
    assert packed(small) is small
    mean = packed_mean(small)
    np.testing.assert_allclose(mean[:, :, there], whole.dice[:, :, there], atol=0.5 / 254)
    assert np.isnan(mean[:, :, 1]).all()
    assert "outcome" not in small.coords


def test_a_missing_network_has_no_pixels():
    whole = made()
    whole.counts[0, 0, 1, 0] = np.nan
    small = packed(whole)
    for name in ("tp", "fp"):
        assert (small[name][0, 0, 1, 0] == 0).all()
        assert (small[name] > 0).sum() == small[name].size - len(TRAIN[:2])


@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_pieces_with_other_networks_are_joined(tmp_path, order, is_packed):
    """The first replica of two conditions is in another piece than the second replica."""
    tables = made(TRAIN[:2], (0,)), made(TRAIN[:2], (1,), seed=1), made(TRAIN[2:], seed=2)
    given = pieces(*tables)
    if is_packed:
        given[0] = table_union.Piece("a", packed(tables[0]), ({},))
    found = joined(tmp_path, [given[k] for k in order])
    first, second, both = (table.dice.values for table in tables)
    expected = np.concatenate([np.concatenate([first, second], 3), both], 2)
    tolerance = 0.5 / 254 if is_packed else 0
    np.testing.assert_allclose(found.dice, expected, atol=tolerance)
    assert ("counts" in found) != is_packed
    if not is_packed:
        first, second, both = (table.counts.values for table in tables)
        expected = np.concatenate([np.concatenate([first, second], 3), both], 2)
        np.testing.assert_array_equal(found.counts, expected)


def test_a_missing_replica_has_no_results(tmp_path):
    found = joined(tmp_path, pieces(made(TRAIN[:1], (0,)), made(TRAIN[1:], (1,))))
    missing = np.isnan(found.dice.values[0, 0]).all((-2, -1))
    assert missing.tolist() == [[False, True], [True, False], [True, False]]
    np.testing.assert_array_equal(np.isnan(found.counts.values[0, 0]).all((2, 3, 4, 5)), missing)


def test_pieces_must_agree_on_the_structures_and_share_a_test_condition():
    one, other = made(TRAIN[:2]), made(TRAIN[2:])
    with pytest.raises(PassbandError, match="structures: 3 in a, 2 in b; must agree"):
        table_union.same_tests(pieces(one, other.isel(structure=slice(2))))
    given = pieces(one.isel(test=[0]), other.isel(test=[1]))
    with pytest.raises(PassbandError, match="--common: no test condition is in all 2 pieces"):
        table_union.same_tests(given, common=True)


@pytest.mark.parametrize(("second", "left_out"), [(1, []), (2, ["products"])])
def test_products_of_other_pairs_of_replicas_are_left_out(second, left_out):
    given = [
        made(train)
        .assign(products=((*CELL[:4], "pair"), np.full((1, 1, len(train), 2, 1), 0.5)))
        .assign_coords(first=("pair", [0]), second=("pair", [number]))
        for train, number in ((TRAIN[:2], 1), (TRAIN[2:], second))
    ]
    kept, found = table_union.alike(pieces(*given))
    assert found == left_out
    assert all(("products" in piece.table) != bool(left_out) for piece in kept)
