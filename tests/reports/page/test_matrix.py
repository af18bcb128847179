"""The matrix on the page that presents a study."""

import base64
import io
import re

import numpy as np
import pytest
from matrices import GRID
from PIL import Image
from report_content import PAPER, make_stores

from passband.grid import Axes
from passband.reports.page.matrix import dice_range, left_out, matrix_svg


def test_the_matrix_has_each_cells_colour():
    found, *_ = make_stores(GRID)
    M = found.matrices["gold", "compact"].copy()
    M[2, 3] = np.nan
    svg = matrix_svg(M, found.train, found.test, "viridis", "words")
    packed = re.search(r'href="data:image/png;base64,([^"]+)"', svg)[1]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(packed))))
    from matplotlib import colormaps

    low, high = dice_range(M)
    expected = (colormaps["viridis"]((M - low) / (high - low)) * 255).round()
    good = np.isfinite(M)
    np.testing.assert_allclose(pixels[good], expected[good], atol=1)
    assert pixels[2, 3, 3] == 0  # transparent


def test_a_level_is_written_once_for_each_run():
    every = Axes.main.conditions(GRID)
    svg = matrix_svg(np.eye(len(every)), every, every, "viridis", "words")
    assert svg.count(">5 nm<") == svg.count(">25 nm<") == 2  # for rows and for columns
    assert svg.count(">1.2 µm<") == 2 * 3
    assert svg.count(">100 e/Å²<") == 2 * 12
    assert not left_out(every, every)


def test_an_axis_whose_labels_would_be_too_small_is_named_below():
    every = Axes.main.conditions(PAPER)
    svg = matrix_svg(np.eye(len(every)), every, every, "viridis", "words")
    assert "e/Å²" not in svg
    assert ">14 mrad<" in svg
    assert left_out(every, every) == ["dose 30 to 1600 e/Å²"]


@pytest.mark.parametrize(
    ("values", "ends"),
    [([0.31, 0.86], (0.3, 0.9)), ([0.5], (0.5, 0.6)), ([np.nan], (0.0, 1.0)), ([0, 1], (0, 1))],
)
def test_the_colour_scale_is_the_range_of_dice(values, ends):
    assert dice_range(np.array(values)) == pytest.approx(ends)


def test_rows_without_their_own_column_have_their_dice_beside_the_matrix():
    found, *_ = make_stores(GRID)
    M, train, test = found.matrices["gold", "compact"], found.train, found.test[:3]
    own = np.full(len(train), np.nan)
    own[4], own[5] = 0.25, 0.75
    svg = matrix_svg(M[:, :3], train, test, "viridis", "words", own_dice=own)
    assert re.findall(r"<title>(0\.\d+)</title>", svg) == ["0.250", "0.750"]
    assert svg.count(">own<") == 1
    from matplotlib import colormaps

    low, high = dice_range(np.column_stack([M[:, :3], own]))
    red, green, blue = (
        255 * np.array(colormaps["viridis"]((0.25 - low) / (high - low)))[:3]
    ).round()
    assert f"rgb({red:.0f},{green:.0f},{blue:.0f})" in svg
    nothing = np.full(len(train), np.nan)
    plain = matrix_svg(M, train, found.test, "viridis", "words")
    assert matrix_svg(M, train, found.test, "viridis", "words", own_dice=nothing) == plain
