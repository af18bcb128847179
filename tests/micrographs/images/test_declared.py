"""A small file that declares huge images is refused before memory is taken."""

import json
import shutil
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from real_data import real

from passband import PassbandError
from passband.micrographs.images import declared, readers

MOST_31 = 2**31 - 1


def refusal(path: Path) -> str:
    """Return the line with which a file is refused, for which little memory is taken."""
    tracemalloc.start()
    try:
        with pytest.raises(PassbandError) as caught:
            readers.read(path, 0.3)
        assert tracemalloc.get_traced_memory()[1] < 5 * 10**7
    finally:
        tracemalloc.stop()
    (line,) = str(caught.value).splitlines()
    return line.removeprefix(f"{path}: ")


def changed(name: str, path: Path, place: int, *values: int) -> Path:
    """Copy a file of a microscope, with other integers of 32 bits at a place."""
    pytest.importorskip("rsciio")
    content = bytearray(real("formats", name).read_bytes())
    content[place : place + 4 * len(values)] = struct.pack(f"<{len(values)}I", *values)
    path.write_bytes(content)
    return path


def test_an_mrc_file_with_frames_that_it_has_not(tmp_path):
    line = refusal(changed("ncem_temp.mrc", tmp_path / "a.mrc", 8, MOST_31))
    assert line.startswith("declares 2,147,483,647 × ")
    assert line.endswith(" MB; it is damaged")
    refusal(changed("ncem_temp.mrc", tmp_path / "b.mrc", 0, *[MOST_31] * 3))
    refusal(changed("ncem_temp.mrc", tmp_path / "c.mrc", 92, MOST_31))  # an extended header


def test_a_ser_file_with_images_that_it_has_not(tmp_path):
    line = refusal(changed("ncem_16_STOimage_1.ser", tmp_path / "a.ser", 18, MOST_31))
    assert line.startswith("declares 2,147,483,647 × ")
    content = real("formats", "ncem_16_STOimage_1.ser").read_bytes()
    wide = 8 if int.from_bytes(content[4:6], "little") > 528 else 4
    offsets = int.from_bytes(content[22 : 22 + wide], "little")
    image = int.from_bytes(content[offsets : offsets + wide], "little")
    path = changed("ncem_16_STOimage_1.ser", tmp_path / "b.ser", image + 42, 60_000, 60_000)
    assert refusal(path).startswith("declares 1 × 60,000 × 60,000 values")


def test_an_emd_file_with_a_data_set_that_it_has_not(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.emd", "w") as file:
        file.create_dataset("data/a/data", shape=(10**5, 10**5), dtype="f4", chunks=(1000, 1000))
    assert refusal(tmp_path / "a.emd").startswith("declares 100,000 × 100,000 values")


def test_a_tiff_file_with_pixels_that_it_has_not(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((64, 64), np.uint8), compression="zlib", rowsperstrip=64)
    with tifffile.TiffFile(path, mode="r+b") as file:
        for name in ("ImageWidth", "ImageLength"):
            file.pages[0].tags[name].overwrite(65_535)
    assert refusal(path).startswith("declares 65,535 × 65,535 values")


def chunk(name: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + check


@pytest.mark.parametrize("lengths", [(20_000, 20_000), (MOST_31, 1), (MOST_31, MOST_31)])
def test_a_png_file_of_nothing(tmp_path, lengths):
    head = struct.pack(">IIBBBBB", *lengths, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes(10**6), 9)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + parts)
    assert refusal(tmp_path / "a.png").startswith(("declares 1 × ", "not a whole .png file"))


def other_zarr(path: Path, **keys) -> Path:
    array = zarr.create_array(store=path, shape=(64, 64), chunks=(64, 64), dtype="f4")
    array[:] = np.arange(64 * 64).reshape(64, 64)
    content = json.loads((path / "zarr.json").read_text())
    (path / "zarr.json").write_text(json.dumps({**content, **keys}))
    return path


def chunks(length: int) -> dict:
    return {"name": "regular", "configuration": {"chunk_shape": [length, length]}}


def test_a_zarr_array_with_values_or_chunks_that_it_has_not(tmp_path):
    path = other_zarr(tmp_path / "a.zarr", shape=[10**6, 10**6])
    assert refusal(path).startswith("declares 1,000,000 × 1,000,000 values")
    path = other_zarr(tmp_path / "b.zarr", chunk_grid=chunks(10**6))
    assert refusal(path).startswith("declares 1,000,000 × 1,000,000 values")
    path = other_zarr(tmp_path / "c.zarr", shape=[15_000, 15_000], chunk_grid=chunks(1))
    assert refusal(path) == "has 225,000,000 chunks; it is damaged"


@pytest.mark.slow
def test_a_zip_file_of_zarr_that_unpacks_to_gigabytes(tmp_path):
    path = tmp_path / "a.zarr.zip"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("zarr.json", "w") as entry,
    ):
        for _ in range(200):
            entry.write(bytes(10**6))
    assert "it would unpack to 0.2 GB" in refusal(path)


def test_an_image_larger_than_the_memory_of_the_machine(tmp_path):
    path = tmp_path / "a.npy"
    np.lib.format.open_memmap(path, "w+", np.uint8, (64, 64)).flush()
    head = path.read_bytes()[:128].replace(b"(64, 64), }      ", b"(9999999, 999999)}")
    with path.open("wb") as file:
        file.write(head[:128])
        file.truncate(128 + 9_999_999 * 999_999)  # takes no place on the disk
    assert "values take 40,000 GB, and this machine has" in refusal(path)


def test_images_that_are_large_and_there_are_read(tmp_path):
    declared.check(tmp_path, (250_000_000,))
    declared.check(tmp_path, (10, 4096, 4096 * 10), stored=4096 * 4096)
    pytest.importorskip("rsciio")
    for name in ("ncem_temp.mrc", "ncem_16_STOimage_1.ser"):
        copy = shutil.copy(real("formats", name), tmp_path)
        assert readers.read(copy, 0.3).images.size
