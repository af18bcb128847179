"""What a store of predictions says of each matrix."""

import numpy as np
import xarray as xr

from passband.matrices.stored import GROUP, MatrixName
from passband.prediction.matrix.predicted_matrix import LeftOutLevel, predicted_matrices


def make_store():
    """Return predictions of gold networks; those of tests on iron were too few."""
    levels = ["defocus_nm/train/20", "lens/test/all"]
    scores = np.array([[0.9, 0.6], [0.8, 0.5]])
    lacking = np.full(scores.shape, np.nan)
    level_r2 = np.stack([scores, lacking])[None, None]
    return xr.Dataset(
        {
            "level_r2": ((*GROUP, "level", "distances"), level_r2),
            "level_r2_ceiling": ((*GROUP, "level"), level_r2[..., 0] + 0.05),
            "true": ((*GROUP, "train", "test"), [[[[[0.5]], [[np.nan]]]]]),
        },
        {
            "specimen": ["gold"],
            "architecture": ["unet"],
            "test_specimen": ["gold", "iron"],
            "level": levels,
            "distances": ["T(q)", "scaled"],
        },
    )


def test_matrices_that_were_too_small_are_not_predicted():
    (matrix,) = predicted_matrices(make_store())
    assert matrix.name == MatrixName("gold", "unet", "gold")
    assert matrix.has("true")
    assert not matrix.has("expected")


def test_noise_limits_scores_of_new_networks_alone():
    (matrix,) = predicted_matrices(make_store())
    assert matrix.left_out == [
        LeftOutLevel("defocus_nm", "train", "20"),
        LeftOutLevel("lens", "test", "all"),
    ]
    networks, tests = (matrix.score("r2", each) for each in matrix.left_out)
    np.testing.assert_allclose(networks, (0.9, 0.6, 0.95))
    np.testing.assert_allclose(tests, (0.8, 0.5, np.nan))


def test_a_store_without_levels_has_nothing_left_out():
    (matrix,) = predicted_matrices(make_store().drop_dims("level"))
    assert matrix.left_out == []
