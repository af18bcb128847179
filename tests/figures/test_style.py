"""Colours that everybody can distinguish, numbers with true minus signs, and sizes."""

import re
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import seaborn as sns
from figure_data import check, letters
from matplotlib.colors import to_rgb

from passband.figures import style
from passband.reports.page import text

#: Simulation of a complete deuteranopia for linear RGB: Machado, Oliveira & Fernandes, IEEE Trans.
#: Vis. Comput. Graph. 15, 1291 (2009), severity 1.0.
DEUTERANOPIA = np.array(
    [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]
)
#: Linear sRGB to CIE XYZ (IEC 61966-2-1), for the white point D65.
TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
#: Smallest difference of two colours (CIE 1976 ΔE). A difference of about 2.3 is just visible.
LEAST = 15
#: The names of the colours in `style`, each with one meaning.
MEANINGS = (
    *("OWN", "OTHER", "TRUTH", "TRANSFER", "PARAMETERS", "FEATURES", "SPECIMENS", "NEUTRAL"),
    "EVERYTHING",
)


def linear(colour):
    value = np.array(to_rgb(colour))
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    """Return CIE L*a*b* of a linear RGB colour."""
    ratio = TO_XYZ @ np.clip(rgb, 0, 1) / TO_XYZ.sum(1)
    f = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("seen", [np.eye(3), DEUTERANOPIA], ids=["all cones", "deuteranopia"])
def test_meanings_have_colours_that_are_distinguished(seen):
    places = {name: lab(seen @ linear(getattr(style, name))) for name in MEANINGS}
    for a, b in combinations(places, 2):
        assert np.linalg.norm(places[a] - places[b]) > LEAST, (a, b)


@pytest.mark.parametrize("seen", [np.eye(3), DEUTERANOPIA], ids=["all cones", "deuteranopia"])
def test_both_sides_of_the_reports_matrix_have_colours_that_are_distinguished(seen):
    pairs = re.findall(r"--train: (#\w+); --test: (#\w+)", text.source("report.css"))
    assert len(pairs) == 3  # on white, on dark and in print
    for pair in pairs:
        train, test = (lab(seen @ linear(colour)) for colour in pair)
        assert np.linalg.norm(train - test) > LEAST


def test_the_theme_is_seaborns_except_for_sizes():
    with plt.rc_context():
        plt.rcdefaults()
        sns.set_theme("paper", "ticks")
        theirs = dict(plt.rcParams)
    with plt.rc_context():
        plt.rcdefaults()
        plt.rcParams.update({"axes.facecolor": "red", "font.family": "serif", "axes.grid": True})
        style.set_theme()
        ours = dict(plt.rcParams)
    differing = {name for name in ours if ours[name] != theirs[name]}
    sizes = {name for name in differing if name.endswith(("size", "width"))}
    colours = [map(to_rgb, each["axes.prop_cycle"].by_key()["color"]) for each in (ours, theirs)]
    assert list(colours[0]) == list(colours[1])
    assert differing - sizes == {
        "axes.prop_cycle",
        "axes.spines.top",
        "axes.spines.right",
        "font.sans-serif",
        "image.cmap",
        "legend.frameon",
        "svg.fonttype",
    }


def test_several_panels_have_letters_and_a_single_one_has_none():
    for number, expected in ((1, []), (3, ["a", "b", "c"])):
        figure, axes = style.panels(1, number, 17, 5)
        style.letter(axes.flat)
        assert letters(check(figure, 17)) == expected


def test_the_simulation_finds_red_and_green_of_equal_lightness_the_same():
    red, green = (lab(DEUTERANOPIA @ linear(colour)) for colour in ("#c87137", "#8f8f2f"))
    assert np.linalg.norm(red - green) < LEAST
    red, green = (lab(linear(colour)) for colour in ("#c87137", "#8f8f2f"))
    assert np.linalg.norm(red - green) > 2 * LEAST


def test_values_of_an_axis_have_different_dark_colours():
    colours = style.levels(6)
    assert len(colours) == 6
    places = [lab(DEUTERANOPIA @ linear(colour)) for colour in colours]
    assert min(np.linalg.norm(a - b) for a, b in combinations(places, 2)) > 4
    assert max(place[0] for place in places) < 85  # white has 100


def test_differences_are_white_at_zero_and_have_two_meanings():
    colours = style.differences()
    assert colours(0.5)[:3] == pytest.approx((1, 1, 1), abs=0.01)
    assert colours(0.0)[:3] == pytest.approx(to_rgb(style.OWN))
    assert colours(1.0)[:3] == pytest.approx(to_rgb(style.OTHER))


def test_numbers_have_true_minus_signs():
    assert style.number(-7.5) == "−7.5"
    assert style.number(-0.123, ".2f") == "−0.12"
    assert style.short(-34.641) == "−34.6"
    assert style.short(1000.0) == "1000"


@pytest.mark.parametrize(
    ("values", "ends"),
    [
        ([0.31, 0.97], (0.3, 1.0)),
        ([0.3, 0.6], (0.3, 0.6)),
        ([-0.04, 0.5], (-0.1, 0.5)),
        ([0.5], (0.4, 0.6)),
        ([np.nan], (0, 1)),
        ([], (0, 1)),
    ],
)
def test_ranges_are_those_of_the_data(values, ends):
    assert style.rounded_range(np.array(values)) == ends


def test_a_figure_of_a_page_is_not_narrow():
    assert style.is_narrow(8.5)
    assert not style.is_narrow(17)
