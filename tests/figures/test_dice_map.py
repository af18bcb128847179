"""The map of a network's expected Dice."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from figure_data import check, letters, panels
from toy_networks import true_dice

from passband.figures import dice_map, style
from passband.grid import Axes, Condition
from passband.network_id import NetworkId
from passband.prediction.range_of_use import Asked, TestedDoses
from passband.prediction.recommend.network_dice import NetworkDice

pytestmark = pytest.mark.slow

TESTED = Axes.main.conditions(
    {
        "defocus_nm": [5, 20],
        "cs_um": [1.2, 60],
        "aperture_mrad": [10],
        "dose_e_per_A2": [100, 1000],
    }
)
NETWORK = NetworkId("gold", "net", TESTED[0].id, 0)
DOSES = TestedDoses.of(TESTED)


def draw(asked):
    def expected(points):
        assert {(c.cs_um, c.aperture_mrad) for c in points} == {(5, 10)}
        mean = np.array([[true_dice(TESTED[0], c) for c in points]])
        half = np.array([[c.defocus_nm / 1000 for c in points]])
        return NetworkDice(
            networks=(NETWORK,),
            test=tuple(points),
            mean=mean,
            low=mean - half,
            high=mean + half,
            is_measured=np.zeros(mean.shape, dtype=bool),
        )

    return dice_map.recommendation(asked, NETWORK, TESTED, expected, DOSES)


def values(ax, shape):
    """Return the values of a map, and the ends of its colours."""
    (mesh,) = [c for c in ax.collections if hasattr(c, "get_coordinates")]
    return np.reshape(mesh.get_array(), shape), mesh.get_clim()


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_the_map_is_highest_at_the_networks_own_condition():
    figure = draw(Asked.at(Condition(12, 5, 10, 400)))
    check(figure, style.PAGE_CM)
    assert letters(figure) == ["a", "b"]
    ax, uncertain = panels(figure)
    x, y = dice_map.plane(Asked.at(Condition(12, 5, 10, 400)), TESTED, DOSES)
    (dice, ends), (width, _) = (values(each, (len(y), len(x))) for each in (ax, uncertain))
    np.testing.assert_allclose(width[0], np.abs(x) / 500, atol=2e-5)
    # The colours are for the range of the study.
    inside = dice[np.ix_((y >= 100) & (y <= 1000), (x >= 5) & (x <= 20))]
    assert ends == pytest.approx((inside.min(), inside.max()))
    assert dice.min() < ends[0]
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
    _, box = [line for line in ax.lines if len(line.get_xdata()) == 5]
    assert set(box.get_xdata()) == {-10, 25}


def test_the_map_ends_at_half_of_the_lowest_tested_dose():
    """A map of the asked 60 e/Å² alone would have a margin below 50 e/Å²."""
    wide = [*TESTED, Condition(5, 1.2, 10, 1e5)]
    doses = TestedDoses.of(wide)
    _, y = dice_map.plane(Asked.at(Condition(12, 5, 10, 60)), wide, doses)
    assert y[0] == pytest.approx(50)
    doses.check([Condition(12, 5, 10, dose) for dose in y])
    assert y[-1] > 1e5
