"""Jitter of the lens and of the dose: distributions, and separate values for each image."""

from dataclasses import replace

import numpy as np
import pytest

from passband.optics.ctf import Optics
from passband.optics.jitter import Jitter

OPTICS = Optics(300e3, defocus=100, cs=1.2e4, aperture=18, c12=30, phi12=0.4, c23=200, phi23=-0.9)
WIDE = Jitter(defocus=15, dose=0.2, c12=20, c21=500, c23=300)


def draws(jitter, number=4000, optics=OPTICS):
    return [jitter.draw(optics, ("test", k)) for k in range(number)]


def mean_and_std(values, mean, std):
    """Return whether a sample's mean and standard deviation are within 4 standard errors."""
    values = np.asarray(values)
    assert values.mean() == pytest.approx(mean, abs=4 * std / np.sqrt(values.size))
    assert values.std() == pytest.approx(std, rel=4 / np.sqrt(2 * values.size) * 1.3)


def test_defocus_and_dose_have_their_spread():
    lenses, doses = zip(*draws(WIDE), strict=True)
    mean_and_std([lens.defocus for lens in lenses], 100, 15)
    mean_and_std(doses, 1, 0.2)
    assert min(doses) > 0


@pytest.mark.slow
@pytest.mark.parametrize(("order", "folds"), [("12", 2), ("21", 1), ("23", 3)])
def test_aberrations_have_a_circular_normal_spread_about_their_own(order, folds):
    def complex_of(optics):
        angle = folds * getattr(optics, f"phi{order}")
        return getattr(optics, f"c{order}") * np.exp(1j * angle)

    values = np.array([complex_of(lens) for lens, _ in draws(WIDE)])
    mean, spread = complex_of(OPTICS), getattr(WIDE, f"c{order}")
    mean_and_std(values.real, mean.real, spread / np.sqrt(2))
    mean_and_std(values.imag, mean.imag, spread / np.sqrt(2))
    correlation = np.corrcoef(values.real, values.imag)[0, 1]
    assert abs(correlation) < 4 / np.sqrt(values.size)


def test_all_quantities_are_independent():
    rows = [
        [lens.defocus, dose]
        + [
            part(getattr(lens, f"c{order}") * np.exp(1j * folds * getattr(lens, f"phi{order}")))
            for order, folds in (("12", 2), ("21", 1), ("23", 3))
            for part in (np.real, np.imag)
        ]
        for lens, dose in draws(WIDE, 2000)
    ]
    correlation = np.corrcoef(rows, rowvar=False) - np.eye(8)
    assert np.abs(correlation).max() < 4.5 / np.sqrt(2000)


def test_no_jitter_changes_nothing():
    assert draws(Jitter(), 3) == [(OPTICS, 1.0)] * 3
    assert not Jitter(dose=0.3).lens_varies
    assert Jitter(c21=1.0).lens_varies
    assert Jitter(dose=0.3).varies
    assert Jitter(c21=1.0).varies
    assert not Jitter().varies


def test_names_decide_and_nothing_else():
    names = (7, "gold", "train", 3, "df", "lens", 0)
    assert WIDE.draw(OPTICS, names) == WIDE.draw(OPTICS, names)
    assert WIDE.draw(OPTICS, names) != WIDE.draw(OPTICS, (*names[:-1], 1))


@pytest.mark.parametrize("name", ["defocus", "dose", "c12", "c21", "c23"])
def test_one_spread_does_not_change_anothers_draw(name):
    lens, dose = WIDE.draw(OPTICS, ("a",))
    alone_lens, alone_dose = replace(Jitter(), **{name: getattr(WIDE, name)}).draw(OPTICS, ("a",))
    if name == "dose":
        assert alone_dose == dose
        assert alone_lens == OPTICS
    else:
        assert alone_dose == 1
        assert getattr(alone_lens, name) == getattr(lens, name) != getattr(OPTICS, name)


@pytest.mark.slow
def test_few_images_exceed_the_extreme():
    ends = [WIDE.extreme(replace(OPTICS, c12=0.0, c23=0.0), sign) for sign in (-1, 1)]
    lenses = [lens for lens, _ in draws(WIDE, optics=replace(OPTICS, c12=0.0, c23=0.0))]
    outside = [not ends[0].defocus <= lens.defocus <= ends[1].defocus for lens in lenses]
    assert 0 < np.mean(outside) < 0.006
    for name in ("c12", "c21", "c23"):
        assert np.mean([getattr(lens, name) > getattr(ends[0], name) for lens in lenses]) < 0.001
    assert Jitter().extreme(OPTICS, -1) == OPTICS
