"""Which networks and matrices predictions know."""

import numpy as np
import xarray as xr
from matrices import GRID, make_table

from passband.matrices.of_study import matrices
from passband.prediction.matrix.known_dice import (
    has_networks,
    large_enough,
    mean_dice,
    of_replicas,
)


def make_dice(missing=()):
    """Return a table of 24 conditions and 3 replicas without some cells, and its Dice."""
    table = make_table(GRID, np.zeros((24, 24)), replicas=3)
    D = np.random.default_rng(0).random((24, 3, 24))
    for place in missing:
        D[place] = np.nan
    return table.drop_vars("counts").assign(dice=(table.dice.dims, D[None, None, :, :, None])), D


def test_a_network_without_a_test_is_not_known():
    table, D = make_dice([(5, 0, 7), (8,)])
    (matrix,) = matrices(table)
    found = of_replicas(matrix)
    assert np.isnan(found[5, 0]).all()
    np.testing.assert_array_equal(found[5, 1:], D[5, 1:])
    mean = mean_dice(matrix)
    np.testing.assert_allclose(mean[5], D[5, 1:].mean(0))
    np.testing.assert_allclose(mean[:5], D[:5].mean(1))
    assert np.isnan(mean[8]).all()
    assert np.flatnonzero(~has_networks(matrix)).tolist() == [8]


def test_a_matrix_that_is_too_small_is_left_out():
    table, _ = make_dice()
    lacking, _ = make_dice([(8,)])
    other = lacking.assign_coords(test_specimen=["iron"])
    (matrix,) = large_enough(matrices(xr.concat([table, other], "test_specimen")))
    assert matrix.test_specimen == "gold"
