"""The contact sheet of a specimen, which is drawn from stored exit waves."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from passband.config import Diameter, Microscope, Particles, Specimen, Substrate
from passband.figures import gallery
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Split, Structures
from passband.specimens import exit_waves as simulate
from passband.specimens.multislice import Multislice

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
MICROSCOPE = Microscope(field_px=48, pixel_size_A=0.3, focal_members=1)
SPECIMEN = Specimen(
    diameter_nm=Diameter(mean=0.8, std=0.1, min=0.6, max=1.0),
    particles=Particles(min=2, max=2),
    substrate=Substrate(thickness_nm=0.2, faces="both"),
)


def test_a_sheet_shows_the_stored_values_of_its_structures():
    waves = simulate.simulate("gold", SPECIMEN, MICROSCOPE, 7, "test", [0, 2], "cpu")
    split, camera = (
        Split.from_dataset(waves, Structures(7, "gold", "test", MICROSCOPE), CPU),
        Acquisition.from_microscope(MICROSCOPE, "zscore", CPU),
    )
    condition, seen = Condition(20, 1.2, 18, 1000), []

    def progress(indices):
        seen.extend(int(index) for index in indices)
        return indices

    figure = gallery.sheet(camera, split, SPECIMEN, condition, progress)
    assert seen == [0, 2]
    rows = np.reshape([ax for ax in figure.axes if ax.get_label() != "<colorbar>"], (2, 5))
    assert [row[0].get_ylabel() for row in rows] == ["test 0", "test 2"]
    counts = torch.cat(list(camera.counts(split, condition))).numpy()
    for k, index in enumerate((0, 2)):
        again = simulate.structure("gold", SPECIMEN, MICROSCOPE.sampling, 7, "test", index)
        potential = Multislice(MICROSCOPE.sampling, 300e3).potential(again.atoms)
        wave = MICROSCOPE.sampling.restore(waves.spectrum[k, 0].values)
        expected = (potential / 1e3, np.abs(wave), None, counts[k], waves["mask"][k])
        for ax, values in zip(rows[k], expected, strict=True):
            if values is not None:
                shown = ax.get_images()[0].get_array()
                np.testing.assert_allclose(shown, np.asarray(values).T, rtol=1e-5)
    plt.close(figure)
