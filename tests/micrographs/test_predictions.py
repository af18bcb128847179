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
from passband.micrographs.images.segmentation import Settings
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
    folder = file.parent / "out"
    given = {"pixel_size_A": 0.25, "folder": folder, "name": "gold", "settings": RAW}
    return predictions.predict_file(file, networks, **given | options)


def test_line_has_particles_diameter_and_confidence(file, networks):
    result = predict(file, networks)
    line, pixels = result.lines
    assert line.startswith("gold.npy: 2 particles, mean diameter 0.58")
    assert "confidence 0.9" in line
    assert "pixels of 0.25 Å resampled to 0.3 Å (factor 0.8333), field not flattened" in pixels
    assert result.scores == ()
    assert all(path.is_file() for path in result.written)
    assert result.overlay.name == "gold_overlay.png"


def test_frames_of_a_stack_have_their_numbers(tmp_path, networks):
    np.save(tmp_path / "stack.npy", np.stack([image_of(MASK, seed) for seed in range(3)]))
    np.save(tmp_path / "truth.npy", np.stack([MASK, MASK & False, MASK]))
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth.npy").rename(tmp_path / "truth/stack.npy")
    result = predict(tmp_path / "stack.npy", networks, truth=tmp_path / "truth")
    assert [line.partition(":")[0] for line in result.lines[:3]] == [
        f"stack.npy frame {k}" for k in range(3)
    ]
    assert [score.is_empty for score in result.scores] == [False, True, False]
    *_, empty, last = predictions.truth_lines([result])
    assert empty.startswith("not in the mean: stack.npy frame 1, empty truth, false-positive area")
    assert last.startswith("mean Dice 0.9")
    assert last.endswith(" over 2 images")


# The ground truth


def test_score_counts_pixels():
    true = mask_of_discs((50, 60), (20, 20, 10))
    mask = mask_of_discs((50, 60), (22, 20, 10), (40, 50, 3))
    score = predictions.score(mask, true, 0.5)
    both, predicted, positive = (mask & true).sum(), mask.sum(), true.sum()
    assert score.counts.tolist() == [both, predicted - both, positive - both]
    assert score.dice == pytest.approx(2 * both / (predicted + positive))
    assert str(score) == (
        f"Dice {score.dice:.3f}, precision {both / predicted:.3f}, recall {both / positive:.3f}"
    )
    empty = predictions.score(mask, true & False, 0.5)
    assert empty.is_empty
    assert empty.false_positive_nm2 == pytest.approx(predicted * 0.05**2)
    assert not predictions.score(true & False, true, 0.5).is_empty


@pytest.mark.parametrize(("pixels", "is_empty"), [(99, True), (100, False)])
def test_an_image_with_hardly_any_truth_is_not_in_the_mean(pixels, is_empty):
    """The boundary is 1% of the image; the wrong area is reported below it."""
    true = np.zeros((100, 100), bool)
    true.flat[:pixels] = True
    score = predictions.score(~true, true, 10)
    full = predictions.score(true, true, 10)
    image = predictions.Prediction(Path("a.npy"), (), ("a.npy",), (score,), ())
    other = predictions.Prediction(Path("b.npy"), (), ("b.npy",), (full,), ())
    lines = predictions.truth_lines([image, other])
    assert score.is_empty == full.is_empty == is_empty
    if is_empty:
        wrong = "truth covers 0.99%, false-positive area 9901 nm²"
        assert str(score) == wrong
        assert lines[0] == f"not in the mean: a.npy, {wrong}"
        assert lines[-1] == "no mean Dice: no image has a truth that covers 1% of it or more"
    else:
        assert lines == ["mean Dice 0.500 over 2 images"]


@pytest.mark.parametrize("name", ["gold.npy", "gold.png"])
def test_mask_is_found_by_the_name_of_the_file(file, networks, name):
    folder = file.parent / "truth"
    folder.mkdir()
    if name.endswith("png"):
        Image.fromarray(MASK.astype(np.uint8) * 255).save(folder / name)
    else:
        np.save(folder / name, MASK)
    result = predict(file, networks, truth=folder)
    assert result.lines[0].endswith(str(result.scores[0]))
    assert result.scores[0].dice > 0.95
    assert predictions.truth_lines([result])[-1].endswith(" over 1 image")


def test_store_of_images_has_its_own_masks(tmp_path, networks):
    masks = np.stack([mask_of_discs((64, 64), (30, 20 + 10 * k, 9)) for k in range(2)])
    counts = np.stack([image_of(mask) for mask in masks])
    dimensions = "structure", "x", "y"
    images = xr.Dataset({"counts": (dimensions, counts), "mask": (dimensions, 1 * masks)})
    attributes = {"pixel_size_A": 0.3}
    datasets.write(images, tmp_path / "a.zarr", datasets.IMAGES, attributes)
    result = predict(tmp_path / "a.zarr", networks, pixel_size_A=None, truth=tmp_path)
    assert [score.dice for score in result.scores] == pytest.approx([1, 1], abs=0.01)


def test_without_a_full_truth_there_is_no_mean():
    (line,) = predictions.truth_lines([])
    assert line.startswith("no mean Dice: ")


def test_wrong_masks_are_reported_before_anything_is_written(file, networks):
    folder = file.parent / "truth"
    folder.mkdir()
    with pytest.raises(PassbandError, match=r"gold.npy: there is no mask gold.npy in .*truth"):
        predict(file, networks, truth=folder)
    np.save(folder / "gold.npy", MASK[:-1])
    with pytest.raises(PassbandError, match=r"gold.npy: 80 × 121 pixels, but .* 79 × 121 pixels"):
        predict(file, networks, truth=folder)
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

    monkeypatch.setattr(outputs, "write_table", fail)
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
