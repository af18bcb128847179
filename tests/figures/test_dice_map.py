"""The map of a network's expected Dice."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from figure_data import check
from toy_networks import true_dice

from passband.figures import dice_map
from passband.grid import Axes, Condition
from passband.prediction.range_of_use import Asked

TESTED = Axes.main.conditions(
    {
        "defocus_nm": [5, 20],
        "cs_um": [1.2, 60],
        "aperture_mrad": [10],
        "dose_e_per_A2": [100, 1000],
    }
)
NETWORK = f"gold/net/{TESTED[0].id}/0"


def draw(asked):
    def expected(points):
        assert {(c.cs_um, c.aperture_mrad) for c in points} == {(5, 10)}
        return np.array([true_dice(TESTED[0], c) for c in points])

    return dice_map.recommendation(asked, NETWORK, TESTED, expected, "viridis")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_the_map_is_highest_at_the_networks_own_condition():
    figure = draw(Asked.at(Condition(12, 5, 10, 400)))
    check(figure, dice_map._WIDTH_CM)
    ax = figure.axes[0]
    (mesh,) = [c for c in ax.collections if hasattr(c, "get_coordinates")]
    x, y = dice_map.plane(Asked.at(Condition(12, 5, 10, 400)), TESTED)
    dice = np.reshape(mesh.get_array(), (len(y), len(x)))
    row, column = np.unravel_index(dice.argmax(), dice.shape)
    assert x[column] == pytest.approx(5, abs=0.5)
    assert y[row] == pytest.approx(100, rel=0.1)
    star = next(line for line in ax.lines if line.get_marker() == "*")
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (12, 400)
    assert "5 µm, 10 mrad" in ax.get_title("left")


def test_the_map_contains_the_asked_range_outside_the_study():
    asked = Asked.parse(
        {"defocus_nm": "-10:25", "cs_um": 5, "aperture_mrad": 10, "dose_e_per_A2": "50:400"}
    )
    ax = draw(asked).axes[0]
    assert ax.get_xlim()[0] < -10
    assert ax.get_xlim()[1] > 25
    assert ax.get_ylim()[0] < 50
    (box,) = [line for line in ax.lines if len(line.get_xdata()) == 5]
    assert set(box.get_xdata()) == {-10, 25}
