"""Exported images of a split are exactly the images of the evaluation."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from synthetic import loaded
from torch import nn

from passband.axes import MAIN_AXES
from passband.config import Aberrations, Microscope, Spread, Training
from passband.imaging import export as dataset
from passband.imaging.acquisition import Acquisition
from passband.imaging.noise import expose, normalise
from passband.learning import evaluation, networks, training
from passband.storage import datasets


@pytest.fixture(scope="module")
def split(make_split):
    return make_split(5, "test")


@pytest.fixture(scope="module")
def images(camera, split, condition):
    return dataset.images(camera, split, condition)


class Learner(nn.Module):
    """A network that only adds a bias, and records its input images and its mode."""

    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1))
        self.seen = []

    def forward(self, images):
        self.seen.append((images.clone(), self.training))
        return images + self.bias


class Probe(nn.Module):
    """A network that records its input images."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, images):
        self.seen.append(images.clone())
        return images


def test_images_are_what_evaluation_shows_a_network(camera, split, condition, images):
    probe = Probe()
    evaluation.evaluate({0: probe}, camera, loaded({"gold": split}), [condition], 2, "float32")
    seen = torch.cat(probe.seen)[:, 0]
    counts = torch.as_tensor(images.counts.values.astype(np.float32))
    assert torch.equal(normalise(counts, "zscore", camera.electrons(condition)), seen)


@pytest.mark.parametrize("noise", ["fresh", "fixed"])
def test_images_are_what_training_shows_a_network(
    camera, make_split, condition, monkeypatch, noise
):
    split, validation = make_split(4), make_split(3, "val")
    probe = Learner()
    monkeypatch.setattr(networks, "build", lambda *_: probe)
    settings = Training(
        epochs=3, batch_size=2, noise=noise, augment=False, schedule="constant", precision="float32"
    )
    training.train("compact-w8-d3", camera, (split, validation), condition, settings, {3: 5})

    def shown(to_train):
        seen = [batch[:, 0] for batch, training in probe.seen if training == to_train]
        return torch.cat(seen).chunk(3)  # one an epoch

    def written(split, draw, replica=None):
        counts = dataset.images(camera, split, condition, draw, replica).counts.values
        return camera.normalised(torch.as_tensor(counts.astype(np.float32)), condition)

    def unordered(images):
        return {image.numpy().tobytes() for image in images}

    epochs = shown(True)
    for epoch, seen in enumerate(epochs):
        draw = epoch if noise == "fresh" else 0
        assert unordered(seen) == unordered(written(split, draw, 3))
        assert not unordered(seen) & unordered(written(split, draw, 2))
    assert (unordered(epochs[0]) == unordered(epochs[1])) == (noise == "fixed")
    for seen in shown(False):
        assert torch.equal(seen, written(validation, 0))


def test_an_image_is_made_again_from_its_seed(camera, microscope, split, condition, images):
    intensity = camera.imager.intensity(split.spectra[3:4], microscope.optics(condition))
    electrons = images.attrs["electrons_per_vacuum_pixel"]
    again = expose(intensity, electrons, [int(images.seed[3])])[0]
    np.testing.assert_array_equal(again.numpy(), images.counts[3].values)
    assert len(set(images.seed.values.tolist())) == 5


def test_another_draw_is_another_images_noise(camera, split, condition, images):
    other = dataset.images(camera, split, condition, 3)
    assert (images.attrs["draw"], other.attrs["draw"]) == (0, 3)
    assert not set(images.seed.values.tolist()) & set(other.seed.values.tolist())
    whole = torch.cat(list(camera.counts(split, condition, 3)))
    np.testing.assert_array_equal(other.counts.values, whole.numpy())
    assert (other.counts != images.counts).mean() > 0.5


def test_another_replicas_images_differ_only_in_noise(camera, split, condition, images):
    own = dataset.images(camera, split, condition, 3, 1)
    assert (own.attrs["draw"], own.attrs["replica"]) == (3, 1)
    assert "replica" not in images.attrs
    common = dataset.images(camera, split, condition, 3)
    assert not set(own.seed.values.tolist()) & set(common.seed.values.tolist())
    whole = torch.cat(list(camera.counts(split, condition, 3, 1)))
    np.testing.assert_array_equal(own.counts.values, whole.numpy())
    xr.testing.assert_identical(own["mask"], common["mask"])
    # Both have the same expected counts, and each has a variance equal to its expected count.
    apart = (own.counts.astype(float) - common.counts) / np.sqrt(own.counts + common.counts)
    assert float(apart.var()) == pytest.approx(1, abs=0.08)
    assert float(apart.mean()) == pytest.approx(0, abs=0.06)


def test_an_image_with_jitter_is_made_again_from_its_metadata(split, condition):
    spread = Spread(focus_nm=4.0, dose=0.3, astigmatism_nm=3.0, coma_nm=100.0, threefold_nm=100.0)
    microscope = Microscope(field_px=32, pixel_size_A=0.4, focal_members=3, spread=spread)
    camera = Acquisition.from_microscope(microscope, "zscore", torch.device("cpu"))
    images = dataset.images(camera, split, condition, 2)
    assert all(variable.attrs["units"] for variable in images.variables.values())
    assert images.image_defocus_nm.attrs["units"] == "nm"
    assert images.image_coma_deg.attrs["units"] == "°"
    assert images.image_dose_e_per_A2.attrs["units"] == "e/Å²"
    assert images.image_defocus_nm.std() > 1
    for one in (images.isel(structure=k) for k in (1, 4)):
        own = {name: float(one[f"image_{name}"]) for name in ("defocus_nm", "dose_e_per_A2")}
        lens = Aberrations(
            **{
                f"{name}_{unit}": float(one[f"image_{name}_{unit}"])
                for name in ("astigmatism", "coma", "threefold")
                for unit in ("nm", "deg")
            }
        )
        fixed = microscope.model_copy(update={"spread": Spread(), "aberrations": lens})
        own = replace(condition, **own)
        lens = fixed.optics(own)
        intensity = camera.imager.intensity(split.spectra[[int(one.structure)]], [lens])
        again = expose(intensity, own.dose_e_per_A2 * 0.4**2, [int(one.seed)])[0].numpy()
        # Units rounded back and forth: where one draw is decided otherwise, the next ones differ.
        assert (again == one.counts.values).mean() > 0.5


def test_images_without_spreads_have_no_lenses_of_their_own(images):
    assert not [name for name in images.variables if name.startswith("image_")]


def test_images_are_labelled_with_units(split, condition, images):
    assert images.counts.dtype == np.uint16
    assert images.instances.dims == ("structure", "face", "x", "y")
    assert images.instances.dtype == np.uint8
    np.testing.assert_array_equal(images.instances, split.instances)
    assert images.face.values.tolist() == ["top", "bottom"]
    assert images["mask"].dtype == np.uint8
    assert images.counts.dims == images["mask"].dims == ("structure", "x", "y")
    np.testing.assert_array_equal(images["mask"].values, split.masks[:, 0].numpy())
    np.testing.assert_array_equal(images.structure, split.indices)
    np.testing.assert_allclose(images.x, np.arange(32) * 0.4)
    for name, axis in MAIN_AXES.items():
        assert images[name].item() == getattr(condition, name)
        assert images[name].attrs["units"] == axis.unit
    assert all(variable.attrs["units"] for variable in images.variables.values())
    assert images.attrs["condition"] == condition.id
    assert images.attrs["split"] == "test"


def test_counts_that_do_not_fit_take_four_bytes(camera, split, condition):
    bright = replace(condition, dose_e_per_A2=250_000)
    images = dataset.images(camera, split, bright)
    assert images.counts.dtype == np.uint32
    assert 65_535 < images.counts.values.max() < 2 * 65_535
    whole = torch.cat(list(camera.counts(split, bright)))
    np.testing.assert_array_equal(images.counts.values, whole.numpy())


def test_a_data_set_has_few_files_and_a_single_image_can_be_read(images, tmp_path):
    path = tmp_path / "images.zarr"
    datasets.write(images, path, datasets.IMAGES, {}, {"structure": 1}, {"structure": 2})
    # Three shards of two images, one image a chunk.
    assert len(list((path / "counts").glob("c.*"))) == 3
    found = xr.open_zarr(path)
    assert found.counts.encoding["chunks"] == (1, 32, 32)
    assert found.counts.encoding["shards"] == (2, 32, 32)
    xr.testing.assert_identical(found.load().drop_attrs(), images.drop_attrs())


def test_counts_of_a_gain_that_is_not_whole_are_not_rounded(microscope, split, condition):
    gained = microscope.model_copy(
        update={"detector": microscope.detector.model_copy(update={"gain": 2.5})}
    )
    camera = Acquisition.from_microscope(gained, "zscore", torch.device("cpu"))
    images = dataset.images(camera, split, condition)
    assert images.counts.dtype == np.float32
    counts = torch.cat(list(camera.counts(split, condition)))
    np.testing.assert_array_equal(images.counts, counts)
    assert (images.counts % 1 != 0).any()
