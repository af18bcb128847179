"""Images that are formed on finer pixels than their own (`microscope.oversampling`)."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from passband.config import Microscope, Specimen
from passband.config.specimen_blocks import Diameter, Particles
from passband.grid import Condition
from passband.imaging.imager import Imager
from passband.optics.ctf import Optics
from passband.optics.sampling import Sampling
from passband.specimens import exit_waves

FINE, IMAGE = Sampling(64, 0.2), Sampling(32, 0.4)
OPTICS = Optics(300e3, defocus=100.0, aperture=25.0)


def a_wave():
    x = np.arange(64) * 0.2
    phase = np.zeros((64, 64))
    for fx, fy, height in ((2, 3, 0.2), (7, -5, 0.3), (14, 4, 0.2)):
        phase += height * np.cos(2 * np.pi * (fx * x[:, None] + fy * x[None]) / 12.8)
    return torch.as_tensor(FINE.crop(np.exp(1j * phase)[None, None]))


@pytest.mark.parametrize("blurred", [False, True])
def test_the_image_is_the_fine_image_without_its_high_frequencies(blurred):
    blur = np.full((32, 17), 0.5) if blurred else None
    if blurred:
        blur[0, 0] = 1
    fine = Imager(FINE, dtype=torch.float64).intensity(a_wave(), OPTICS)
    imager = Imager(FINE, dtype=torch.float64, image=IMAGE, blur=blur)
    image = imager.intensity(a_wave(), OPTICS)
    assert image.shape == (1, 32, 32)
    assert image.mean().item() == pytest.approx(fine.mean().item(), rel=1e-12)
    expected, found = (torch.fft.fft2(part)[0] / part[0].numel() for part in (fine, image))
    factor = 0.5 if blurred else 1.0
    for row in (-9, 0, 4, 15):
        for column in (1, 7, 15):
            assert abs(found[row, column] - factor * expected[row, column]) < 1e-12
    # A GPU forms all images at once.
    kernels = imager.transfer(OPTICS).kernels[None]
    part = imager.transfer(OPTICS).inside
    weights = imager.transfer(OPTICS).weights
    together = imager._form_all(a_wave()[..., part, part], weights, kernels)
    torch.testing.assert_close(imager._finished(together, imager._blur), image)


def test_scattered_electrons_reach_the_image():
    """Without oversampling, a particle is darker, since electrons beyond the pixels are lost."""
    specimen = Specimen(diameter_nm=Diameter(mean=1.6, std=0.0), particles=Particles(min=1, max=1))
    given = {"pixel_size_A": 0.5, "field_px": 60, "multislice_pixel_A": 0.25, "focal_members": 1}
    given["focal_spread_nm"] = 0.0
    means = []
    for number, aperture in ((1, 13), (2, 26)):
        microscope = Microscope(**given, oversampling=number)
        waves = exit_waves.simulate("gold", specimen, microscope, 3, "test", [0], "cpu")
        assert waves["mask"].shape == (1, 60, 60)
        imager = Imager(microscope.wave_sampling, "focal-series", 1, image=microscope.sampling)
        optics = microscope.optics(Condition(10, 0, aperture, 100))
        (image,) = imager.intensity(torch.as_tensor(waves.spectrum.values), optics)
        particle = torch.as_tensor(waves["mask"].values[0] > 0)
        means.append((image.mean().item(), image[particle].mean().item()))
    assert means[0][0] < means[1][0] <= 1
    assert means[0][1] < means[1][1] - 0.008


def test_the_default_is_the_image_itself():
    microscope = Microscope(field_px=32)
    assert microscope.wave_sampling == microscope.sampling
    finer = microscope.model_copy(update={"oversampling": 2})
    assert finer.exit_wave_params()["oversampling"] == 2
    assert finer.imaging_params()["oversampling"] == 2
    assert finer.transfer_params() == microscope.transfer_params()
    assert replace(finer.sampling) == microscope.sampling
