"""Left-out levels and tables of studies whose conditions are points."""

import numpy as np
import pytest
import xarray as xr
from matrices import of_dice

from passband import PassbandError
from passband.analysis import table
from passband.grid import Axes, Condition
from passband.matrices.of_study import matrices
from passband.prediction.matrix import level_scores
from passband.prediction.matrix.smoothness import neighbours
from passband.reports import summaries

AXES = ("defocus_nm", "cs_um", "aperture_mrad", "dose_e_per_A2")


def make_points(number):
    random = np.random.default_rng(3)
    columns = (random.permutation(number) + 1.0 for _ in AXES)
    ids = [c.id for c in sorted(Condition(*row) for row in zip(*columns, strict=True))]
    coords = (
        {"train": ids, "test": ids}
        | Axes.main.coordinates(ids, "train")
        | Axes.main.coordinates(ids, "test")
    )
    return xr.Dataset({"dice": (("train", "test"), random.random((number, number)))}, coords)


def test_groups_of_points_are_left_out():
    """Otherwise each of 40 points would be a level of each axis."""
    slices = list(level_scores._slices(of_dice(make_points(40).dice), seed=0))
    assert {axis for axis, *_ in slices} == {level_scores.CONDITIONS}
    assert len(slices) == 2 * level_scores.GROUPS
    assert sum(out.sum() for *_, out in slices) == 2 * 40


def test_points_have_no_steps_along_an_axis():
    matrix = of_dice(make_points(40).dice)
    assert not any(neighbours(matrix, "train", axis) for axis in AXES)


def test_a_hypercube_of_points_is_refused_before_it_is_made():
    with pytest.raises(PassbandError, match="hypercube of train = 160 conditions: has 655,360,000"):
        table.hypercube(make_points(160).dice, "train")


def test_many_doses_share_the_rows_of_the_summary():
    points = make_points(40)
    shape = (1, 1, 1, 40)
    dims = ("specimen", "architecture", "test_specimen", "train")
    values = {name: (dims, np.full(shape, 0.5)) for name in ("id", "ood", "worst")}
    gap = ((*dims, "test"), np.zeros((*shape, 40)))
    names = {name: ["gold"] for name in ("specimen", "architecture", "test_specimen")}
    metrics = xr.Dataset(values | {"gap_test": gap}, points.coords | names)
    text = summaries.ood(matrices(metrics=metrics))
    rows = [line.split(" | ") for line in text.splitlines()[2:]]
    assert [row[1] for row in rows] == [
        *("1 to 10 e/Å²", "11 to 20 e/Å²", "21 to 30 e/Å²", "31 to 40 e/Å²"),
        "all doses",
    ]
    assert [row[2] for row in rows] == ["10", "10", "10", "10", "40"]
