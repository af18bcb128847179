"""Shades of the background, and what the page says of them."""

import numpy as np
import pytest

from findings.background import shades

IMAGE = np.random.default_rng(0).normal(100, 10, (48, 48)).astype(np.float32)


def test_a_third_of_the_field_is_darker_by_the_height():
    rng = np.random.default_rng(1)
    shade = (IMAGE - shades.part(IMAGE, 1.5, 0.5, rng)) / IMAGE.std()
    assert shade.min() == pytest.approx(0, abs=1e-4)
    assert shade.max() == pytest.approx(1.5, abs=0.01)
    assert (shade > 0.75).mean() == pytest.approx(0.35, abs=0.01)


def test_a_spot_is_darkest_inside_and_smooth():
    rng = np.random.default_rng(1)
    shade = (IMAGE - shades.spot(IMAGE, 1.0, 1.0, rng)) / IMAGE.std()
    row, column = np.unravel_index(shade.argmax(), shade.shape)
    assert 12 <= row <= 36
    assert 12 <= column <= 36
    assert shade.max() == pytest.approx(1, abs=0.01)
    assert np.abs(np.diff(shade, axis=0)).max() < 0.1


def test_the_page_has_the_tables_of_the_measurements():
    page = shades.PAGE.read_text(encoding="utf-8")
    for text in shades.tables():
        assert text in page
