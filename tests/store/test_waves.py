"""Exit waves of earlier jobs are found, whatever structures these jobs had."""

import numpy as np
import open_files
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from passband.storage import UnreachableError, datasets
from passband.store.recipe import Recipe
from passband.store.waves import StoredWaves

RECIPE = Recipe("simulate", {"study.seed": 1})


def waves(structures):
    """Return a data set with a number for each structure, in the place of exit waves."""
    numbers = np.array(structures)
    return xr.Dataset({"particles": ("structure", 10 * numbers)}, {"structure": numbers})


def put(stored, start, size):
    structures = range(start, start + size)
    return stored.put(structures, [waves(structures)], {})


def numbers(parts):
    """Return the structures of the parts, in order, after a look at their values."""
    for part in parts:
        np.testing.assert_array_equal(part.particles, 10 * part.structure)
    return sorted(index for part in parts for index in part.structure.values.tolist())


@pytest.mark.slow
@settings(max_examples=10)
@given(st.integers(1, 7), st.integers(1, 7), st.integers(1, 4))
def test_every_structure_is_found_once_in_files_of_another_size(tmp_path_factory, old, new, files):
    stored = StoredWaves(tmp_path_factory.mktemp("waves"), RECIPE)
    for number in range(files):
        put(stored, number * old, old)
    assert numbers(stored.find(range(new))) == list(range(min(new, files * old)))


def test_only_a_file_with_exactly_the_structures_is_handed_over_as_it_is(tmp_path):
    stored = StoredWaves(tmp_path, RECIPE)
    path = put(stored, 0, 4)
    put(stored, 2, 4)
    assert stored.whole(range(4)) == path
    assert stored.whole(range(3)) is None
    assert stored.whole(range(1, 4)) is None


def test_the_files_of_another_recipe_are_left_out_and_replaced(tmp_path):
    put(StoredWaves(tmp_path, RECIPE), 0, 4)
    other = StoredWaves(tmp_path, Recipe("simulate", {"study.seed": 2}))
    assert other.find(range(4)) == []
    assert other.whole(range(4)) is None
    put(other, 0, 4)
    assert numbers(other.find(range(4))) == [0, 1, 2, 3]


def test_a_file_says_what_it_was_made_by(tmp_path):
    path = put(StoredWaves(tmp_path, RECIPE), 0, 4)
    attrs = datasets.read(path, datasets.WAVES).attrs
    assert attrs["recipe_digest"] == RECIPE.digest


def test_a_damaged_file_and_strangers_are_left_out(tmp_path):
    stored = StoredWaves(tmp_path, RECIPE)
    put(stored, 0, 2).write_bytes(b"damaged")
    put(stored, 2, 2)
    (tmp_path / "notes.txt").touch()
    (tmp_path / "a-b.zarr.zip").touch()
    assert numbers(stored.find(range(4))) == [2, 3]
    assert stored.whole(range(2)) is None


def test_exit_waves_that_cannot_be_read_now_are_not_made_again(tmp_path):
    stored = StoredWaves(tmp_path, RECIPE)
    put(stored, 0, 4)
    for look in (lambda: stored.find(range(2)), lambda: stored.whole(range(4))):
        with open_files.too_many(), pytest.raises(UnreachableError, match="Too many open files"):
            look()
