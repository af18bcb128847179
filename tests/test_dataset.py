"""Images of a split written out: what evaluation sees, to the last bit."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

from passband import dataset, evaluation, store
from passband.examples import Camera
from passband.grid import AXES
from passband.imaging import expose, normalise
from passband.units import optics


@pytest.fixture(scope="module")
def split(make_split):
    return make_split(5, "test")


@pytest.fixture(scope="module")
def images(camera, split, condition):
    return dataset.images(camera, split, condition)


class Probe(nn.Module):
    """A network that keeps what it is shown."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, images):
        self.seen.append(images.clone())
        return images


def test_images_are_what_evaluation_shows_a_network(camera, split, condition, images):
    probe = Probe()
    evaluation.evaluate({0: probe}, camera, {"gold": split}, [condition], 2, "float32")
    seen = torch.cat(probe.seen)[:, 0]
    counts = torch.as_tensor(images.counts.values.astype(np.float32))
    assert torch.equal(normalise(counts, "zscore", camera.electrons(condition)), seen)


def test_an_image_is_made_again_from_its_seed(camera, microscope, split, condition, images):
    intensity = camera.imager.intensity(split.spectra[3:4], optics(condition, microscope))
    electrons = images.attrs["electrons_per_vacuum_pixel"]
    again = expose(intensity, electrons, [int(images.seed[3])])[0]
    np.testing.assert_array_equal(again.numpy(), images.counts[3].values)
    assert len(set(images.seed.values.tolist())) == 5


def test_images_are_labelled_with_units(split, condition, images):
    assert images.counts.dtype == np.uint16
    assert images["mask"].dtype == np.uint8
    assert images.counts.dims == images["mask"].dims == ("structure", "x", "y")
    np.testing.assert_array_equal(images["mask"].values, split.masks[:, 0].numpy())
    np.testing.assert_array_equal(images.structure, split.structures)
    np.testing.assert_allclose(images.x, np.arange(32) * 0.4)
    for name, axis in AXES.items():
        assert images[name].item() == getattr(condition, name)
        assert images[name].attrs["units"] == axis.unit
    assert all(variable.attrs["units"] for variable in images.variables.values())
    assert images.attrs["condition"] == condition.id
    assert images.attrs["split"] == "test"


def test_counts_that_do_not_fit_take_four_bytes(camera, split, condition):
    bright = replace(condition, dose_e_per_A2=900_000)
    images = dataset.images(camera, split, bright)
    assert images.counts.dtype == np.uint32
    assert images.counts.values.max() > 65_535
    whole = torch.cat(list(camera.counts(split, bright)))
    np.testing.assert_array_equal(images.counts.values, whole.numpy())


def test_a_data_set_is_few_files_and_one_image_is_read_alone(images, tmp_path):
    path = tmp_path / "images.zarr"
    store.write(images, path, store.IMAGES, {}, {"structure": 1}, {"structure": 2})
    # Three shards of two images, one image a chunk.
    assert len([file for file in (path / "counts/c").rglob("*") if file.is_file()]) == 3
    found = xr.open_zarr(path)
    assert found.counts.encoding["chunks"] == (1, 32, 32)
    assert found.counts.encoding["shards"] == (2, 32, 32)
    xr.testing.assert_identical(found.load().drop_attrs(), images.drop_attrs())


def test_counts_of_a_gain_that_is_not_whole_are_not_rounded(microscope, split, condition):
    gained = microscope.model_copy(
        update={"detector": microscope.detector.model_copy(update={"gain": 2.5})}
    )
    camera = Camera.of(gained, "zscore", torch.device("cpu"))
    images = dataset.images(camera, split, condition)
    assert images.counts.dtype == np.float32
    counts = torch.cat(list(camera.counts(split, condition)))
    np.testing.assert_array_equal(images.counts, counts)
    assert (images.counts % 1 != 0).any()
