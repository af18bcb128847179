"""Shapes of known discs, ellipses and pairs of discs."""

from math import cos, pi, sin

import numpy as np
import pytest
from discs import discs

from passband.micrographs.images import particles, shape_measures

PIXEL_NM = 0.03


def measured(mask):
    (row,) = particles.measure(mask.astype(int), PIXEL_NM)
    return row


@pytest.mark.parametrize("radius", [12, 25, 60.3])
def test_disc(radius):
    row = measured(discs((140, 150), (70.2, 74.6, radius)))
    assert row.solidity == pytest.approx(1, abs=0.02)
    assert row.feret_diameter_nm == pytest.approx(2 * radius * PIXEL_NM, abs=PIXEL_NM)
    assert row.neck_ratio > 0.93


@pytest.mark.parametrize("angle", [0, 0.4, 1.1])
def test_ellipse(angle):
    y, x = np.indices((240, 260)) - np.array([120, 130])[:, None, None]
    along, across = x * cos(angle) + y * sin(angle), y * cos(angle) - x * sin(angle)
    row = measured((along / 90) ** 2 + (across / 30) ** 2 <= 1)
    assert row.feret_diameter_nm == pytest.approx(180 * PIXEL_NM, rel=0.01)
    assert row.diameter_nm == pytest.approx(2 * (90 * 30) ** 0.5 * PIXEL_NM, rel=0.01)
    assert row.solidity == pytest.approx(1, abs=0.02)
    assert row.neck_ratio > 0.93


@pytest.mark.parametrize("overlap", [0.4, 0.7, 0.9])
@pytest.mark.parametrize("angle", [0, 0.5])
def test_two_discs(angle, overlap):
    """Their neck, relative to a disc, is the sine of half the angle that their chord subtends."""
    radius, apart = 40, 40 * 2 * overlap  # between the centres
    away = apart / 2 * np.array([sin(angle), cos(angle)])
    mask = discs((180, 200), *((90 + k * away[0], 100 + k * away[1], radius) for k in (-1, 1)))
    row = measured(mask)
    half = np.arccos(apart / 2 / radius)
    assert row.neck_ratio == pytest.approx(sin(half), abs=0.03)
    assert row.feret_diameter_nm == pytest.approx((apart + 2 * radius) * PIXEL_NM, rel=0.015)
    area = 2 * radius**2 * (pi - half + sin(half) * cos(half))
    hull = pi * radius**2 + 2 * radius * apart
    assert row.solidity == pytest.approx(area / hull, abs=0.015)


def test_small_bump_is_no_part():
    mask = discs((120, 160), (60, 60, 40), (60, 104, 10))
    assert measured(mask).neck_ratio > 0.95
    assert measured(discs((120, 160), (60, 60, 40), (60, 120, 25))).neck_ratio < 0.75


def test_hole_is_no_neck():
    assert (
        measured(discs((120, 160), (60, 60, 40)) & ~discs((120, 160), (60, 70, 9))).neck_ratio
        > 0.95
    )


@pytest.mark.parametrize(("shape", "caliper"), [((1, 1), 1), ((1, 7), 7), ((5, 1), 5)])
def test_a_few_pixels(shape, caliper):
    solidity, found = shape_measures.solidity_and_caliper(*np.nonzero(np.ones(shape, bool)))
    assert found == pytest.approx(caliper)
    assert solidity == 1
    assert shape_measures.neck_ratio(np.ones(shape, bool)) == 1
    assert shape_measures.neck_ratio(np.pad(np.ones(shape, bool), 1)) == 1
