"""Files of images that are read, segmented, compared with their ground truth, and written."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from PIL import Image
from thresholds import image_of, mask_of_discs, save

from passband import PassbandError
from passband.learning.network_files import open_networks
from passband.micrographs import outputs, predictions
from passband.micrographs.images.settings import Settings
from passband.micrographs.trust.trust import Assessment, Unassessed
from passband.prediction.recommend.network_dice import Dice
from passband.storage import atomic, datasets

RAW = Settings(hot_pixels=False, flat_field=False)
MASK = mask_of_discs((80, 121), (30, 40, 12), (60, 90, 11))


@pytest.fixture
def networks(tmp_path):
    return open_networks(save(tmp_path / "a.safetensors"))


@pytest.fixture
def file(tmp_path):
    np.save(tmp_path / "gold.npy", image_of(MASK))
    return tmp_path / "gold.npy"


def predict(file, networks, **options):
    given = {"pixel_size_A": 0.25, "folder": file.parent / "out", "settings": RAW}
    return predictions.Predictor(networks, **given | options).predict(file, "gold")


def test_a_frame_has_particles_diameter_and_confidence(file, networks):
    result = predict(file, networks)
    (frame,) = result.frames
    assert frame.line.startswith("gold.npy: 2 particles, mean diameter 0.58")
    assert " nm of 2 whole, confidence 0.9" in frame.line
    assert frame.verdict == "not assessed, because this was not asked for"
    assert frame.done == ("pixels of 0.25 Å resampled to 0.3 Å",)
    assert frame.score is None
    assert all(path.is_file() for path in result.written)
    assert result.overlay.name == "gold_overlay.png"


def test_what_an_assessor_says_is_in_the_frame(file, networks):
    class Fixed(Unassessed):
        def finish(self):
            return Assessment(Dice(0.87, 0.734, 1), ("its spectrum", "its small field"))

    (frame,) = predict(file, networks, assessor=Fixed("")).frames
    assert frame.expected_dice == Dice(0.87, 0.734, 1)
    assert frame.flags == ("its spectrum", "its small field")
    assert frame.verdict == (
        "unlike the training images, because of its spectrum and its small field: do not trust the "
        "mask"
    )


def test_frames_of_a_stack_have_their_numbers(tmp_path, networks):
    np.save(tmp_path / "stack.npy", np.stack([image_of(MASK, seed) for seed in range(3)]))
    (tmp_path / "truth").mkdir()
    np.save(tmp_path / "truth/stack.npy", np.stack([MASK, MASK & False, MASK]))
    frames = predict(tmp_path / "stack.npy", networks, masks=tmp_path / "truth").frames
    assert [frame.name for frame in frames] == [f"stack.npy frame {k}" for k in range(3)]
    assert [frame.score.is_empty for frame in frames] == [False, True, False]


# The ground truth


@pytest.mark.parametrize("name", ["gold.npy", "gold.png"])
def test_mask_is_found_by_the_name_of_the_file(file, networks, name):
    folder = file.parent / "truth"
    folder.mkdir()
    if name.endswith("png"):
        Image.fromarray(MASK.astype(np.uint8) * 255).save(folder / name)
    else:
        np.save(folder / name, MASK)
    (frame,) = predict(file, networks, masks=folder).frames
    assert frame.line.endswith(f"; {frame.score}")
    assert frame.score.dice > 0.95


def test_store_of_images_has_its_own_masks(tmp_path, networks):
    masks = np.stack([mask_of_discs((64, 64), (30, 20 + 10 * k, 9)) for k in range(2)])
    counts = np.stack([image_of(mask) for mask in masks])
    dimensions = "structure", "x", "y"
    images = xr.Dataset({"counts": (dimensions, counts), "mask": (dimensions, 1 * masks)})
    attributes = {"pixel_size_A": 0.3}
    datasets.write(images, tmp_path / "a.zarr", datasets.IMAGES, attributes)
    result = predict(tmp_path / "a.zarr", networks, pixel_size_A=None, masks=tmp_path)
    assert [frame.score.dice for frame in result.frames] == pytest.approx([1, 1], abs=0.01)


def test_wrong_masks_are_reported_before_anything_is_written(file, networks):
    folder = file.parent / "truth"
    folder.mkdir()
    with pytest.raises(PassbandError, match=r"gold.npy: there is no mask gold.npy in .*truth"):
        predict(file, networks, masks=folder)
    np.save(folder / "gold.npy", MASK[:-1])
    with pytest.raises(PassbandError, match=r"gold.npy: 80 × 121 pixels, but .* 79 × 121 pixels"):
        predict(file, networks, masks=folder)
    assert not (file.parent / "out").exists()


# Errors and names


def test_error_names_the_file_and_nothing_is_written(file, networks):
    with pytest.raises(PassbandError, match=r"gold.npy: pixel size 2 Å: must be between") as error:
        predict(file, networks, pixel_size_A=2)
    assert "\n" not in str(error.value)
    assert not (file.parent / "out").exists()


def test_output_files_are_whole_or_absent(file, networks, monkeypatch):
    def fail(*_):
        raise OSError("no")

    monkeypatch.setattr(outputs, "overlay", fail)
    with pytest.raises(OSError, match="no"):
        predict(file, networks)
    names = {path.name for path in (file.parent / "out").iterdir()}
    assert names == {f"gold_{kind}.ome.tif" for kind in ("mask", "probability", "instances")}


def test_names_of_output_files():
    def names(*paths):
        return predictions.output_names([Path(path) for path in paths])

    assert names("a/x.dm3", "b/y.1.png", "z.ome.tif", "w.zarr.zip") == ["x", "y.1", "z", "w"]
    assert names("x.png", "x.tif", "y.tif") == ["x.png", "x.tif", "y"]
    with pytest.raises(PassbandError, match=r"b/x.png: a/x.png has the same name"):
        names("a/x.png", "b/x.png")
    with pytest.raises(PassbandError, match=r"^a\\udcff.png: its name is no UTF-8; rename it$"):
        names("b.png", "a\udcff.png")


def test_a_name_is_refused_if_an_output_file_cannot_have_it(tmp_path):
    """Names that differ by one byte: the longest that can be written, and one that cannot."""
    end = "_disagreement.ome.tif"
    longest = "n" * (255 - len(atomic.temporary(end)))
    assert predictions.output_names([tmp_path / f"{longest}.npy"]) == [longest]
    (tmp_path / atomic.temporary(f"{longest}{end}")).touch()
    with pytest.raises(PassbandError, match=r"n.npy: its name is too long .* shorter by 1 bytes"):
        predictions.output_names([tmp_path / f"{longest}n.npy"])
