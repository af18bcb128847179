"""Zarr folders and zip files with images: arrays, OME-Zarr, and Passband's own stores."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr

from passband import PassbandError
from passband.micrographs.images.readers import read
from passband.storage import datasets

IMAGE = np.random.default_rng(0).poisson(50, (48, 64)).astype(np.uint16)


def refused(path: Path, pixel_size_A: float | None = 0.25) -> str:
    """Return the message for a file, without the file's folder. It has one line."""
    with pytest.raises(PassbandError) as error:
        read(path, pixel_size_A)
    (line,) = str(error.value).splitlines()
    return line.replace(f"{path.parent}/", "")


def test_a_plain_zarr_array_group_and_zip(tmp_path):
    array = zarr.create_array(tmp_path / "a.zarr", data=IMAGE)
    assert "has none" in refused(tmp_path / "a.zarr", None)
    array.attrs["pixel_size_A"] = 0.21
    assert read(tmp_path / "a.zarr").pixel_size_A == 0.21
    group = zarr.create_group(tmp_path / "b.zarr", attributes={"pixel_size_A": 0.22})
    group.create_array("image", data=IMAGE)
    group.create_array("x", data=np.arange(3))
    assert read(tmp_path / "b.zarr").pixel_size_A == 0.22
    group.create_array("mask", data=IMAGE)
    assert refused(tmp_path / "b.zarr") == (
        "b.zarr: must have one array of an image, found image, mask"
    )
    shutil.make_archive(str(tmp_path / "a.zarr"), "zip", tmp_path / "a.zarr")
    np.testing.assert_array_equal(read(tmp_path / "a.zarr.zip").images[0], IMAGE)


def test_ome_zarr(tmp_path):
    axes = [{"name": n, "type": "space", "unit": "nanometer"} for n in "yx"]
    scale = {"type": "scale", "scale": [0.025, 0.025]}
    level = {"path": "0", "coordinateTransformations": [scale]}
    group = zarr.create_group(
        tmp_path / "a.zarr",
        attributes={"ome": {"multiscales": [{"axes": axes, "datasets": [level]}]}},
    )
    group.create_array("0", data=IMAGE)
    group.create_array("1", data=IMAGE[::2, ::2])
    micrograph = read(tmp_path / "a.zarr")
    assert micrograph.pixel_size_A == pytest.approx(0.25)
    assert micrograph.images.shape == (1, 48, 64)


@pytest.mark.parametrize("name", ["a.zarr", "a.zarr.zip"])
def test_stores_of_images_of_passband(tmp_path, name):
    images = xr.Dataset(
        {"counts": (("structure", "x", "y"), np.stack([IMAGE] * 2)), "mask": ("x", [0] * 48)},
        attrs={"pixel_size_A": 0.31},
    )
    datasets.write(images, tmp_path / name, datasets.IMAGES, {})
    micrograph = read(tmp_path / name)
    assert micrograph.pixel_size_A == 0.31
    np.testing.assert_array_equal(micrograph.images, np.stack([IMAGE] * 2))
    datasets.write(images, tmp_path / f"b{name}", datasets.RECORD, {})
    assert refused(tmp_path / f"b{name}") == (
        f"b{name}: a store of record, expected a store of images"
    )


def test_ome_zarr_may_have_all_five_axes(tmp_path):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    group.create_array("0", data=IMAGE[None, None, None])
    axes = [{"name": name} for name in "tcz"] + [{"name": n, "unit": "nanometer"} for n in "yx"]
    scale = {"type": "scale", "scale": [1, 1, 1, 0.03, 0.03]}
    levels = [{"path": "0", "coordinateTransformations": [scale]}]
    group.attrs["multiscales"] = [{"axes": axes, "datasets": levels}]
    found = read(tmp_path / "a.zarr")
    np.testing.assert_array_equal(found.images[0], IMAGE)
    assert found.pixel_size_A == pytest.approx(0.3)


def test_damaged_zarr_folders(tmp_path):
    for name, content in (("empty", None), ("cut", b'{"zarr_format"'), ("other", b"[]")):
        folder = tmp_path / f"{name}.zarr"
        folder.mkdir()
        if content is not None:
            (folder / "zarr.json").write_bytes(content)
        assert refused(folder).startswith(f"{name}.zarr: ")
    zarr.create_array(tmp_path / "chunk.zarr", data=IMAGE, chunks=IMAGE.shape)
    (chunk,) = (path for path in (tmp_path / "chunk.zarr/c").rglob("*") if path.is_file())
    chunk.write_bytes(chunk.read_bytes()[:50])
    assert "chunk.zarr: not a whole .zarr file" in refused(tmp_path / "chunk.zarr")


def test_a_zarr_folder_with_a_pipe_is_refused(tmp_path):
    zarr.create_array(tmp_path / "image.zarr", data=IMAGE, chunks=IMAGE.shape)
    (chunk,) = (path for path in (tmp_path / "image.zarr/c").rglob("*") if path.is_file())
    chunk.unlink()
    os.mkfifo(chunk)
    assert refused(tmp_path / "image.zarr").startswith(f"image.zarr/c/0/{chunk.name}: is a pipe")
