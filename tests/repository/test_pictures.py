"""Scripts that draw pictures of the docs, and what they measure for them."""

import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from figure_data import check
from matplotlib.colors import to_rgba
from matplotlib.contour import ContourSet

from passband.figures import style

ROOT = Path(__file__).parents[2]
SETTINGS = ["lens A,\nmany electrons", "lens B,\nmany electrons", "lens A,\nfew electrons"]
PX = 24


@pytest.fixture
def figure():
    random = np.random.default_rng(0)
    images = random.poisson(20, (3, PX, PX))
    truth = np.zeros((PX, PX), bool)
    truth[4:12, 8:20] = True
    half = truth & (np.arange(PX) < 14)
    pictures = runpy.run_path(str(ROOT / "docs/scripts/pictures.py"))
    prediction = pictures["Prediction"]
    networks = [
        prediction(0, np.stack([truth, half, ~truth]), np.array([1.0, 0.67, 0.0])),
        prediction(2, np.stack([half, half, truth]), np.array([0.67, 0.67, 1.0])),
    ]
    return pictures["drawn"](SETTINGS, images, truth, networks, PX), images, networks


def test_each_mask_is_over_its_image_in_the_colour_of_its_meaning(figure):
    figure, images, networks = figure
    check(figure, style.PAGE_CM)
    axes = np.reshape(figure.axes, (3, 3))
    for ax, image, words in zip(axes[0], images, SETTINGS, strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), image.T)
        assert ax.get_title() == words
    for row, network in zip(axes[1:], networks, strict=True):
        for k, ax in enumerate(row):
            below, above = (shown.get_array() for shown in ax.images)
            np.testing.assert_array_equal(below, images[k].T)
            np.testing.assert_array_equal(above[..., 3] > 0, network.masks[k].T)
            colour = style.OWN if k == network.trained else style.OTHER
            (found,) = np.unique(above[above[..., 3] > 0], axis=0)
            assert found == pytest.approx(to_rgba(colour, 0.6))
            (outline,) = (c for c in ax.collections if isinstance(c, ContourSet))
            low, high = outline.get_paths()[0].get_extents().get_points()
            assert low == pytest.approx([4, 8])
            assert high == pytest.approx([12, 20])
    words = [ax.get_xlabel() for ax in axes[1]]
    assert words == ["Dice 1.00, trained here", "Dice 0.67", "Dice 0.00"]
    assert axes[2, 0].get_ylabel() == "network trained with\nlens A, few electrons"


def measured(script):
    """Return what a quick run of a script prints: goals and measured values, by what they are.

    Each value must meet its goal.
    """
    command = [sys.executable, f"docs/scripts/{script}", "--quick"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()[2:]]
    for _, goal, value in rows:
        sign, _, limit = goal.partition(" ")
        assert sign in ("≤", "≥", "")
        if sign:
            assert float(value) <= float(limit) if sign == "≤" else float(value) >= float(limit)
    return {what: (goal, float(value)) for what, goal, value in rows}


@pytest.mark.slow
@pytest.mark.long
def test_convergence_meets_its_goals_on_a_small_structure():
    found = measured("convergence.py")
    assert sum(bool(goal) for goal, _ in found.values()) == 5
    assert found["Au: error of abtem, 0.3 Å up to 18 mrad [%]"][1] > 5
    assert found["Au: error of abtem, 0.05 Å up to 18 mrad [%]"][1] < 2
    assert found["Au: time of abtem at auto, 0.02 Å [s]"][1] > 0
    column = "Pt ⟨110⟩, 0.8 nm, 300 kV: error of"
    assert found[f"{column} passband at auto, 0.090 Å [%]"][1] < 2
    assert found[f"{column} abtem at auto, 0.020 Å [%]"][1] < 2


@pytest.mark.slow
@pytest.mark.long
def test_thon_rings_meets_its_goals_in_a_small_field():
    found = measured("thon_rings.py")
    assert [goal for goal, _ in found.values() if goal] == ["≥ 100", "≥ 95", "≤ 0"]
