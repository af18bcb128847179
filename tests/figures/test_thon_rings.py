"""The figure of rings."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from carbon_images import ENERGY_EV, PIXEL_A, film_image
from figure_data import check

from passband.figures import style
from passband.figures.thon_rings import thon_rings
from passband.micrographs.images.file_metadata import Recorded
from passband.micrographs.rings import ctf_fit
from passband.micrographs.rings.ctf_fit import Settings
from passband.micrographs.rings.lens import Lens


def lens_of(image):
    settings = Settings(ENERGY_EV, 0.0, most_A=1200, sign=1)
    (found,) = ctf_fit.measure([ctf_fit.prepare(image, PIXEL_A, settings)], settings)
    return Lens("film.npy", "film.npy", PIXEL_A, settings, found, Recorded(), ())


@pytest.mark.slow
def test_fit_and_zeros_are_drawn():
    figure = thon_rings(lens_of(film_image(px=192, defocus=600, dose=2000)))
    check(figure, style.PAGE_CM)
    left, right = figure.axes
    assert [line.get_label() for line in left.lines] == ["spectrum", "fit", "without rings"]
    q, power = left.lines[0].get_data()
    fitted, values = left.lines[1].get_data()
    off = np.log(values / np.interp(fitted, q, power))
    assert np.abs(off).mean() < 0.2
    first = right.lines[0].get_xdata()
    assert first == pytest.approx(np.sqrt((np.pi - 0.1) / np.pi / 0.019687 / 600), rel=0.04)
    plt.close(figure)


def test_an_image_without_rings_is_drawn_without_a_fit():
    noise = np.random.default_rng(0).poisson(30, (128, 128)).astype(float)
    figure = thon_rings(lens_of(noise))
    left, right = figure.axes
    assert len(left.lines) == 1
    assert not right.lines
    assert figure.get_suptitle() == "film.npy: no rings"
    plt.close(figure)
