"""Images of a microscope some of whose keys have a range: each image has its own number."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from synthetic import CPU

from passband.axes import FURTHER_AXES, MAIN_AXES
from passband.config import Microscope
from passband.imaging import export, mixture_images
from passband.imaging.acquisition import Acquisition
from passband.imaging.noise import noise_seeds
from passband.learning.batches import Images, images_under
from passband.mixtures import Mixture

PLAIN = {"field_px": 32, "pixel_size_A": 0.4, "focal_members": 3}
RANGES = {
    "vibration_A": [0.1, 1],
    "detector": {
        "noise": {
            "form": ["white", "hann"],
            "width_A": [0.7, 1.6],
            "stored_pixel_A": [0.3, 0.79],
        },
        "gain": [0.5, 2],
        "clip_high": [0.01, 0.1],
    },
    "background": {"slope_sd": [0, 2], "vignette_sd": [-1, 2]},
}


def acquisition(normalisation="zscore", **keys) -> Acquisition:
    microscope = Microscope.model_validate(PLAIN | keys)
    return Acquisition.from_microscope(microscope, normalisation, CPU)


@pytest.fixture(scope="module")
def split(make_split):
    return make_split(6, "test")


def test_each_image_is_that_of_a_microscope_with_its_own_numbers(split, condition):
    """The numbers of exported images make the images again, to the last bit."""
    exported = export.images(acquisition(**RANGES), split, condition)
    assert exported.image_vibration_A.attrs["units"] == "Å"
    assert len(np.unique(exported.image_noise_kernel_A.values > 0)) == 2
    for k in range(len(split)):
        own = {
            name: float(exported[f"image_{name}"][k])
            for name in (
                *("vibration_A", "noise_kernel_A", "gain", "clip_high"),
                *("slope_sd", "slope_deg", "vignette_sd", "stored_pixel_A"),
            )
        }
        kernel = own["noise_kernel_A"]
        averaged = {"form": "hann", "width_A": kernel} if kernel else {}
        alone = acquisition(
            vibration_A=own["vibration_A"],
            detector={
                "noise": averaged | {"stored_pixel_A": own["stored_pixel_A"]},
                "gain": own["gain"],
                "clip_high": own["clip_high"],
            },
            background={n: own[n] for n in ("slope_sd", "slope_deg", "vignette_sd")},
        )
        (counts,) = alone.counts(split.take(np.array([k])), condition)
        assert torch.equal(counts[0], torch.from_numpy(exported.counts.values[k]))


def test_networks_see_the_exported_images(split, condition):
    camera = acquisition(**RANGES)
    for draw, replica in ((0, None), (3, 1)):
        exported = export.images(camera, split, condition, draw, replica)
        again = camera.normalised(torch.from_numpy(exported.counts.values), condition)
        for hold in (True, False):
            images = Images(camera, split, condition, hold)
            places = np.arange(6) if replica is None else np.arange(6)[None]
            replicas = None if replica is None else [replica]
            seen, _ = images.take(places, draw, replicas)
            assert torch.equal(seen[:, 0], again)


def test_replicas_share_the_numbers_and_draws_do_not(split, condition):
    camera = acquisition(**RANGES)

    def numbers(draw, replica):
        exported = export.images(camera, split, condition, draw, replica)
        return exported.image_slope_sd.values, exported.image_vibration_A.values

    np.testing.assert_array_equal(numbers(2, 0), numbers(2, 1))
    assert not np.isin(numbers(2, 0), numbers(3, 0)).any()
    other = replace(condition, defocus_nm=condition.defocus_nm + 1)
    exported = export.images(camera, split, other, 2, 0)
    assert not np.isin(exported.image_slope_sd, numbers(2, 0)[0]).any()


def test_held_images_follow_the_draw_of_the_vibration(split, condition):
    images = Images(acquisition(vibration_A=[0, 1]), split, condition)
    first, *_ = images._formed(np.arange(6), 0, None)
    second, *_ = images._formed(np.arange(6), 1, None)
    assert not torch.equal(first, second)
    again, *_ = images._formed(np.arange(6), 0, None)
    assert torch.equal(first, again)


def test_an_image_does_not_depend_on_its_company(split, condition):
    camera = acquisition(**RANGES, spread={"focus_nm": 2.0})
    whole = torch.cat(list(camera.counts(split, condition)))
    parts = torch.cat(list(camera.counts(split, condition, chunk=1)))
    assert torch.equal(whole, parts)


def test_a_mixture_of_one_condition_has_the_images_of_the_condition(split, condition):
    camera = acquisition(**RANGES)
    formed = mixture_images.images(camera, split, Mixture("one", ((condition, 1.0),)))
    images = camera.images(split, condition)[:, 0]
    assert ((formed - images).abs() < 1e-3).float().mean() > 0.98


def test_a_given_value_of_an_axis_is_that_of_all_images(split, condition):
    camera = acquisition(vibration_A=[0.1, 1])
    sharp = replace(condition, further=(("vibration_A", 0.0),))
    fixed = acquisition()
    expected = torch.cat(list(fixed.intensities(split, condition)))
    found = torch.cat(list(camera.intensities(split, sharp)))
    assert torch.equal(found, expected)


def test_another_gain_is_seen_after_division_by_vacuum(split, condition):
    camera = acquisition("vacuum", detector={"gain": [0.5, 2.0]})
    exported = export.images(camera, split, condition)
    assert exported.counts.dtype == np.float32
    seen = camera.images(split, condition)[:, 0]
    vacuum = condition.dose_e_per_A2 * 0.4**2 * 1.25  # the middle of the range
    np.testing.assert_allclose(seen, exported.counts / vacuum - 1, atol=1e-5)


def test_exports_without_ranges_have_no_numbers_of_their_own(split, condition):
    exported = export.images(acquisition(vibration_A=0.3), split, condition)
    assert not [name for name in exported.variables if name.startswith("image_")]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("slope_sd", 1.5),
        ("vignette_sd", -1.0),
        ("noise_kernel_A", 1.6),
        ("gain", 2.5),
        ("clip_high", 0.05),
        ("vibration_A", 0.5),
    ],
)
def test_a_condition_has_the_images_of_a_microscope_with_the_value(split, condition, name, value):
    camera = acquisition("vacuum", detector={"noise": {"form": "hann", "width_A": 0.0}})
    under = replace(condition, further=((name, value),))
    path = FURTHER_AXES[name].path
    other = Acquisition.from_microscope(camera.microscope.replaced(path, value), "vacuum", CPU)
    if name == "slope_sd":  # its direction is drawn by the condition's name
        other = replace(other, microscope=other.microscope.replaced("background.slope_deg", 0.0))
        camera = replace(camera, microscope=camera.microscope.replaced("background.slope_deg", 0.0))
    # The noise has the condition's name in its seed.
    seeds = noise_seeds(split.structures, split.indices, under)
    (intensity,) = other.intensities(split, condition)
    expected = other.exposed(intensity, condition, seeds)
    (counts,) = camera.counts(split, under)
    assert torch.equal(counts, expected)
    (plain,) = camera.intensities(split, condition)
    assert not torch.equal(camera.exposed(plain, condition, seeds), expected)
    seen, _ = Images(camera, split, under).take(np.arange(6))
    assert torch.equal(seen[:, 0], camera.normalised(counts, under))


def test_a_mixture_over_the_axes_has_each_images_own_condition(split, condition):
    camera = acquisition(detector={"noise": {"form": "hann", "width_A": 0.0}})
    ends = {
        **{name: [getattr(condition, name)] * 2 for name in MAIN_AXES},
        **{"vibration_A": [0, 1], "slope_sd": [0, 2], "vignette_sd": [-1, 2]},
        **{"noise_kernel_A": [0, 1.6], "clip_high": [0, 0.02]},
    }
    mixture = Mixture("all", (), tuple((name, *pair) for name, pair in ends.items()))
    formed = mixture_images.images(camera, split, mixture)
    assert Images(camera, split, condition).is_periodic
    assert not images_under(camera, split, mixture).is_periodic
    for k, index in enumerate(split.indices):
        own = mixture_images.drawn(mixture, split.structures, int(index))
        assert own.value("slope_sd") > 0
        alone = camera.images(split.take(np.array([k])), own)[0, 0]
        assert ((formed[k] - alone).abs() < 1e-3).float().mean() > 0.95
