"""Figures of studies whose conditions are points."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from figure_data import WIDTHS, check, make_ood

from passband.config import Microscope
from passband.figures import generalization, matrix, nested_axes, transfer_functions
from passband.grid import Axes, Condition
from passband.matrices.of_study import matrices

pytestmark = pytest.mark.slow

RANDOM = np.random.default_rng(5)
POINTS = sorted(
    Condition(defocus, cs, aperture, dose)
    for defocus, cs, aperture, dose in zip(
        RANDOM.uniform(0, 40, 30),
        RANDOM.uniform(1, 100, 30),
        RANDOM.uniform(8, 16, 30),
        RANDOM.uniform(50, 1600, 30),
        strict=True,
    )
)
IDS = [condition.id for condition in POINTS]


@pytest.fixture(scope="module")
def ood():
    made = make_ood(IDS)
    distance = np.abs(np.subtract.outer(np.arange(30), np.arange(30))) / 30
    own = np.einsum("...ii->...i", made.dice.transpose(..., "train", "test").values)
    return made.assign(
        dice=made.dice,
        distance=(("specimen", "train", "test"), distance[None]),
        id=(made.dice.dims[:-1], own),
    )


@pytest.mark.parametrize("width_cm", WIDTHS)
def test_decay_of_points_is_over_the_distance(ood, width_cm):
    figure = check(generalization.decay(matrices(metrics=ood), width_cm), width_cm)
    left, right = figure.axes
    assert left.get_xlabel() == right.get_xlabel() == "distance of conditions"
    assert right.get_ylabel() == "loss against the network trained there"
    dots, means = left.lines[:2]
    assert len(dots.get_xdata()) == 30 * 29  # all pairs of different conditions
    other = ~np.eye(30, dtype=bool)
    dice = ood.dice.transpose(..., "train", "test").values[0, 0, 0]
    distance = ood.distance.values[0]
    first = np.argsort(distance[other], kind="stable")[: len(dots.get_xdata()) // 8 + 1]
    assert means.get_xdata()[0] == pytest.approx(distance[other][first].mean())
    assert means.get_ydata()[0] == pytest.approx(dice[other][first].mean())
    assert left.lines[2].get_ydata()[0] == pytest.approx(float(ood.id.mean()))


@pytest.mark.parametrize("width_cm", WIDTHS)
def test_transfer_functions_of_points_are_those_of_single_conditions(width_cm):
    figure = check(
        transfer_functions.ctf_curves(POINTS, Microscope(), {"gold": [2.35]}, width_cm), width_cm
    )
    shown = [ax for ax in figure.axes if ax.axison]
    assert len(shown) == (6 if width_cm < 12 else 12)
    titles = [ax.get_title() for ax in shown]
    assert len({*titles}) == len(shown)
    assert titles[0].startswith(f"{POINTS[0].defocus_nm:.3g}"[:3])


def test_labels_of_points_claim_no_order_of_inner_axes(ood):
    levels = nested_axes.levels(POINTS)
    assert [level.is_sorted for level in levels] == [True, False, False, False]
    assert [level.span.endswith("→") for level in levels] == [True, False, False, False]
    product = Axes.main.conditions(
        {"defocus_nm": [1, 2], "cs_um": [1, 2], "aperture_mrad": [9], "dose_e_per_A2": [8, 9]}
    )
    assert all(level.is_sorted for level in nested_axes.levels(product))
    check(matrix.matrix(matrices(metrics=ood), 17.0), 17.0)
    assert plt.get_fignums()
