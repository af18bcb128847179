"""Images of mixtures: each is the image of its structure under the condition that is drawn."""

import numpy as np
import pytest
import torch
from synthetic import CPU

from passband.config import Aberrations, Microscope, Spread
from passband.grid import Condition
from passband.imaging import mixture_images
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Structures
from passband.mixtures import Mixture

A = Condition(15, 1.2, 15, 1000)
B = Condition(-20, 60, 9, 200)
C = Condition(5, 30, 12, 400, {"focal_spread_nm": 6})
D = Condition(5, 30, 12, 400, {"vibration_A": 0.5})
MIXTURE = Mixture("four", tuple((c, 0.25) for c in (A, B, C, D)))


@pytest.fixture(scope="module")
def split(make_split):
    return make_split(12, "train")


def acquisition(normalisation="zscore", **changes):
    microscope = Microscope(field_px=32, pixel_size_A=0.4, focal_members=3, **changes)
    return Acquisition.from_microscope(microscope, normalisation, CPU)


def expected(camera, split, mixture, draw, replicas):
    """Return each image as the acquisition forms it under the drawn condition, and conditions."""
    images, conditions = [], []
    for place, replica in enumerate(replicas):
        one = split.take(np.array([place]))
        index = int(one.indices[0])
        condition = mixture_images.drawn(mixture, split.structures, index, draw, replica)
        images.append(camera.images(one, condition, draw, replica)[:, 0])
        conditions.append(condition)
    return torch.cat(images), conditions


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"spread": Spread(focus_nm=2, dose=0.2, coma_nm=50)},
        {"aperture_edge_mrad": 1.0, "aberrations": Aberrations(astigmatism_nm=5)},
        {"coherence": "quasi-coherent"},
    ],
)
def test_an_image_is_that_of_its_condition(split, changes):
    camera = acquisition("vacuum", **changes)
    replicas = [None, 0, 1] * 4
    formed = mixture_images.images(camera, split, MIXTURE, 2, replicas)
    images, conditions = expected(camera, split, MIXTURE, 2, replicas)
    assert {*conditions} == {A, B, C, D}
    # Rounding of the intensity changes a count by 1 now and then.
    same = (formed - images).abs() < 1e-6
    assert same.float().mean() > 0.995
    assert (formed - images).abs().max() < 0.2


def test_images_do_not_depend_on_the_batch(camera, split):
    whole = mixture_images.images(camera, split, MIXTURE)
    parts = [mixture_images.images(camera, split.take(np.array([k])), MIXTURE) for k in range(12)]
    assert torch.equal(torch.cat(parts), whole)
    batches = mixture_images.batches(camera, split, MIXTURE, 5)
    assert torch.equal(torch.cat(list(batches)), whole)


def test_a_mixture_of_one_condition_has_the_images_of_the_condition(camera, split):
    one = Mixture("one", ((A, 1.0),))
    formed, images = mixture_images.images(camera, split, one), camera.images(split, A)[:, 0]
    assert ((formed - images).abs() < 1e-4).float().mean() > 0.99
    batches = [*mixture_images.batches(camera, split, A, 5)]
    assert [len(batch) for batch in batches] == [5, 5, 2]
    assert torch.equal(torch.cat(batches), images)


def test_conditions_differ_between_structures_draws_and_replicas(microscope):
    ranges = (("defocus_nm", 0, 40), ("cs_um", 1, 1), ("aperture_mrad", 9, 15))
    soft = Mixture("soft", (), (*ranges, ("dose_e_per_A2", 100, 1000)))
    structures = Structures(7, "gold", "train", microscope)
    drawn = [
        mixture_images.drawn(soft, structures, index, draw, replica)
        for index in range(3)
        for draw in range(2)
        for replica in (None, 0, 1)
    ]
    assert len({*drawn}) == 18
    assert mixture_images.drawn(soft, structures, 2, 1, 1) == drawn[-1]


def test_lenses_of_other_apertures_need_a_widest_aperture(camera, split):
    lenses = [camera.microscope.optics(c) for c in (A, B)]
    spectra = split.spectra[:2]
    with pytest.raises(ValueError, match="must differ only in their aberrations"):
        camera.imager.intensity(spectra, lenses)
    formed = camera.imager.intensity(spectra, lenses, 15.0)
    for k, lens in enumerate(lenses):
        alone = camera.imager.intensity(spectra[k : k + 1], lens)
        assert torch.allclose(formed[k], alone[0], atol=2e-5)
