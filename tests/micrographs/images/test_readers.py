"""Images are read from files of every format. A pixel size is never guessed."""

import contextlib
import gc
import os
import re
import shutil
import struct
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from real_data import FOLDER, real

from passband import PassbandError
from passband.micrographs.images.file_metadata import Recorded
from passband.micrographs.images.readers import find, read, read_mask, recorded
from passband.micrographs.images.suffixes import readers

IMAGE = np.random.default_rng(0).poisson(50, (48, 64)).astype(np.uint16)
FLOATS = IMAGE.astype(np.float32)


def microscope_file(name: str) -> Path:
    pytest.importorskip("rsciio")
    return real("formats", name)


def refused(path: Path, pixel_size_A: float | None = 0.25) -> str:
    """Return the message for a file, without the file's folder. It has one line."""
    with pytest.raises(PassbandError) as error:
        read(path, pixel_size_A)
    (line,) = str(error.value).splitlines()
    return line.replace(f"{path.parent}/", "")


def rosetta(path: Path, module: str, data=IMAGE, units: str = "nm", **scales) -> Path:
    """Write a file with RosettaSciIO."""
    pytest.importorskip("rsciio")
    writer = __import__(f"rsciio.{module}", fromlist=["file_writer"]).file_writer
    names = "zyx"[-data.ndim :]
    axes = [
        {
            "name": name,
            "size": size,
            "scale": scales.get(name, 0.025),
            "offset": 0.0,
            "units": units,
            "navigate": name == "z",
            "index_in_array": k,
        }
        for k, (name, size) in enumerate(zip(names, data.shape, strict=True))
    ]
    metadata = {"General": {"title": "image"}, "Signal": {"signal_type": ""}}
    writer(str(path), {"data": data, "axes": axes, "metadata": metadata, "original_metadata": {}})
    return path


def mrc(path: Path, data=FLOATS, cell=None, mode: int = 2) -> Path:
    """Write an MRC file by its definition. `cell` has the lengths of the image [Å]."""
    stack = data if data.ndim == 3 else data[None]
    words = np.zeros(256, "<i4")
    words[:4] = *stack.shape[::-1], mode
    if cell is not None:
        words[7:10] = stack.shape[::-1]
        words.view("<f4")[10:13] = *cell, 1
    path.write_bytes(words.tobytes() + stack.tobytes())
    return path


# Formats that need no extra


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.uint16, np.int32, np.float64, "f2"])
def test_npy(tmp_path, dtype):
    np.save(tmp_path / "a.npy", IMAGE.astype(dtype) if dtype is not bool else IMAGE > 50)
    micrograph = read(tmp_path / "a.npy", 0.3)
    assert micrograph.images.dtype == np.float32
    assert micrograph.images.shape == (1, 48, 64)
    np.testing.assert_array_equal(micrograph.images[0], np.load(tmp_path / "a.npy"))
    assert (micrograph.pixel_size_A, micrograph.notes) == (0.3, ())
    assert refused(tmp_path / "a.npy", None) == "pixel size: a.npy has none; give --pixel-size-A"


def test_stacks_are_stacks(tmp_path):
    stack = np.stack([IMAGE, IMAGE[::-1], IMAGE[:, ::-1]])
    np.save(tmp_path / "a.npy", stack)
    tifffile.imwrite(tmp_path / "a.tif", stack)
    tifffile.imwrite(tmp_path / "b.tiff", stack, ome=True, metadata={"axes": "TYX"})
    zarr.save_array(tmp_path / "a.zarr", stack)
    for name in ("a.npy", "a.tif", "b.tiff", "a.zarr"):
        np.testing.assert_array_equal(read(tmp_path / name, 0.3).images, stack)


def test_png_of_8_and_16_bits_grey_and_colour(tmp_path):
    small = IMAGE.astype(np.uint8)
    Image.fromarray(small).save(tmp_path / "8.png", dpi=(72, 72))
    Image.fromarray(IMAGE * 600).save(tmp_path / "16.png")
    Image.fromarray(np.stack([small] * 3, axis=-1)).save(tmp_path / "rgb.png")
    Image.fromarray(np.stack([small, small * 0 + 255], axis=-1)).save(tmp_path / "la.png")
    Image.fromarray(small).convert("P").save(tmp_path / "p.png")
    for name in ("8", "rgb", "la", "p"):
        np.testing.assert_allclose(read(tmp_path / f"{name}.png", 0.3).images[0], small, rtol=1e-6)
    np.testing.assert_array_equal(read(tmp_path / "16.png", 0.3).images[0], IMAGE * 600)
    found = read(tmp_path / "rgb.png", 0.3)
    assert found.is_colour
    assert found.notes == ("a colour image: the mean of red, green and blue is used",)


def test_colours_are_averaged_and_are_no_mask(tmp_path):
    colours = np.stack([IMAGE, IMAGE // 2, IMAGE * 0], axis=-1).astype(np.uint8)
    Image.fromarray(colours).save(tmp_path / "rgb.png")
    found = read(tmp_path / "rgb.png", 0.3)
    np.testing.assert_allclose(found.images[0], colours.mean(-1), rtol=1e-6)
    assert found.notes == ("a colour image: the mean of red, green and blue is used",)
    with pytest.raises(PassbandError) as error:
        read_mask(tmp_path / "rgb.png")
    assert str(error.value).endswith(
        "rgb.png: is in colour; a mask is grey, and 0 outside particles"
    )


def test_resolution_of_a_png_is_not_a_pixel_size(tmp_path):
    # 10⁹ pixels a metre would be 1 nm; the resolution of a PNG file is for printing.
    Image.fromarray(IMAGE).save(tmp_path / "a.png", dpi=(2.54e7, 2.54e7), pnginfo=PngInfo())
    assert "has none" in refused(tmp_path / "a.png", None)


@pytest.mark.parametrize(
    ("options", "size_A"),
    [
        ({}, None),
        ({"resolution": (72, 72), "resolutionunit": 2}, None),
        ({"resolution": (1, 1), "resolutionunit": 1}, None),
        ({"resolution": (40, 40), "resolutionunit": 1}, None),
        ({"resolution": (4e8, 4e8), "resolutionunit": 3}, 0.25),
        ({"resolution": (40, 40), "imagej": True, "metadata": {"unit": "nm"}}, 0.25),
        ({"resolution": (40e3, 40e3), "imagej": True, "metadata": {"unit": "micron"}}, 0.25),
        ({"resolution": (40e3, 40e3), "imagej": True, "metadata": {"unit": "\\u00B5m"}}, 0.25),
        ({"resolution": (0.4, 0.4), "imagej": True, "metadata": {"unit": "pm"}}, 0.025),
        ({"resolution": (40, 40), "imagej": True, "metadata": {"unit": "pixel"}}, None),
        ({"resolution": (40, 40), "imagej": True}, None),
        ({"ome": True, "metadata": {"axes": "YX"}}, None),
    ],
)
def test_pixel_size_of_a_tiff(tmp_path, options, size_A):
    tifffile.imwrite(tmp_path / "a.tif", IMAGE, **options)
    if size_A is None:
        assert refused(tmp_path / "a.tif", None) == (
            "pixel size: a.tif has none; give --pixel-size-A"
        )
    else:
        assert read(tmp_path / "a.tif").pixel_size_A == pytest.approx(size_A, rel=1e-6)
    np.testing.assert_array_equal(read(tmp_path / "a.tif", 0.3).images[0], IMAGE)


@pytest.mark.parametrize(
    ("size", "unit"), [(0.025, "nm"), (0.25, "Å"), (2.5e-5, None), (25, "pm"), (2.5e-5, "µm")]
)
def test_pixel_size_of_an_ome_tiff(tmp_path, size, unit):
    metadata = {"axes": "YX", "PhysicalSizeX": size, "PhysicalSizeY": size}
    if unit is not None:
        metadata |= {"PhysicalSizeXUnit": unit, "PhysicalSizeYUnit": unit}
    tifffile.imwrite(tmp_path / "a.ome.tif", IMAGE, ome=True, metadata=metadata)
    assert read(tmp_path / "a.ome.tif").pixel_size_A == pytest.approx(0.25)


def test_tiff_compressed_in_a_way_that_only_pillow_decodes(tmp_path):
    Image.fromarray(IMAGE).save(tmp_path / "a.tif", compression="tiff_lzw")
    np.testing.assert_array_equal(read(tmp_path / "a.tif", 0.3).images[0], IMAGE)


def test_tags_of_digitalmicrograph_in_a_tiff(tmp_path):
    path = rosetta(tmp_path / "a.tif", "tiff", x=0.0251, y=0.025)
    assert read(path).pixel_size_A == pytest.approx(0.2505, rel=1e-6)
    assert "diffraction" in refused(rosetta(tmp_path / "b.tif", "tiff", units="1/nm"))


# Formats that RosettaSciIO reads


@pytest.mark.parametrize("data", [FLOATS, np.stack([FLOATS] * 3)])
def test_emd_of_ncem(tmp_path, data):
    micrograph = read(rosetta(tmp_path / "a.emd", "emd", data))
    assert micrograph.pixel_size_A == pytest.approx(0.25)
    np.testing.assert_array_equal(micrograph.images, data.reshape(-1, 48, 64))


def test_mrc(tmp_path):
    pytest.importorskip("rsciio")
    micrograph = read(mrc(tmp_path / "a.mrc", cell=(64 * 0.25, 48 * 0.25)))
    assert micrograph.pixel_size_A == pytest.approx(0.25)
    np.testing.assert_array_equal(micrograph.images[0], IMAGE)
    assert "has none" in refused(mrc(tmp_path / "b.mrc"), None)
    assert "has none" in refused(mrc(tmp_path / "b.mrc", cell=(0, 0)), None)
    one = read(mrc(tmp_path / "c.mrc", cell=(64, 48)))
    assert one.pixel_size_A == pytest.approx(1)
    assert one.notes == ("pixel size 1 Å: some programs write this value if they do not know it",)
    # RosettaSciIO looks for a camera's other files if the name contains "movie".
    assert read(mrc(tmp_path / "movie.mrc", cell=(16, 12))).pixel_size_A == pytest.approx(0.25)
    spectrum = IMAGE.astype(np.complex64)
    assert "complex" in refused(mrc(tmp_path / "d.mrc", spectrum, (16, 12), mode=4))


@pytest.mark.parametrize(
    ("name", "shape", "size_A"),
    [
        ("ncem_16_STOimage.emi", (1, 1024, 1024), 0.100127),
        ("ncem_16_STOimage_1.ser", (1, 1024, 1024), 0.100127),
        ("ncem_temp.mrc", (3, 128, 128), 2),
        ("rsciio_test_STEM_image.dm3", (1, 68, 68), 2.48538),
    ],
)
def test_files_of_microscopes(name, shape, size_A):
    micrograph = read(microscope_file(name))
    assert micrograph.images.shape == shape
    assert micrograph.images.dtype == np.float32
    assert micrograph.pixel_size_A == pytest.approx(size_A, rel=1e-5)
    assert micrograph.notes == ()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ncem_08_carbon.dm3", "contains a spectrum, not an image"),
        ("ncem_Camera_Ceta_Imaging_Micro.emd", "states 31.39 Å, allowed is above 0 and below 10 Å"),
        ("rsciio_fei_example_tem_stack.emd", "2 images of 3 × 3 pixels"),
        ("rsciio_test_dm_image_um_unit.dm3", "states 1687 Å"),
        ("soot_ExampleImage.tif", "has none; give --pixel-size-A"),  # it has 72 dpi
    ],
)
def test_files_of_microscopes_that_are_refused(name, message):
    assert message in refused(microscope_file(name), None)


def test_files_of_microscopes_with_a_pixel_size_from_the_user():
    micrograph = read(microscope_file("ncem_Camera_Ceta_Imaging_Micro.emd"), 0.25)
    assert micrograph.images.shape == (1, 512, 512)
    assert micrograph.notes == (
        "pixel size 0.25 Å from --pixel-size-A is used; the file states 31.39 Å",
    )
    assert read(microscope_file("soot_ExampleImage.tif"), 0.25).images.shape == (1, 512, 512)


@pytest.fixture
def dm4(tmp_path) -> Path:
    """A folder with two files that DigitalMicrograph wrote: an image of 2² pixels, and a stack.

    They are of the tests of HyperSpy 1.7.6 (GPL-3.0): test-MonarcCL_mono-image.dm4 of its folder
    dm4_2D_data, and test-2.dm4 of dm4_3D_data.
    """
    pytest.importorskip("rsciio")
    with tarfile.open(Path(__file__).parents[2] / "data/dm4.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


def test_dm4_files_of_digitalmicrograph(dm4):
    content = readers()[".dm4"].load()(dm4 / "image.dm4")
    assert content.images.tolist() == [[10, 9], [10, 10]]
    assert content.images.dtype == np.uint16
    assert content.pixel_sizes_A == pytest.approx([183_253.498] * 2)
    stack = readers()[".dm4"].load()(dm4 / "stack.dm4")
    assert stack.images.tolist() == [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]
    assert stack.images.dtype == np.float32
    assert "image.dm4: 1 images of 2 × 2 pixels" in refused(dm4 / "image.dm4", None)
    assert "stack.dm4: 2 images of 2 × 2 pixels" in refused(dm4 / "stack.dm4")


def test_a_larger_dm4_file(dm4):
    """The file of DigitalMicrograph with more pixels: their number, both sides, and the values."""
    given = (dm4 / "image.dm4").read_bytes()
    old = np.array([10, 9, 10, 10], "<u2").tobytes()
    head, tail = given.split(struct.pack(">Q4s4Q", 44, b"%%%%", 3, 20, 4, 4) + old)
    values = IMAGE.astype("<u2").tobytes()
    data = struct.pack(">Q4s4Q", 36 + len(values), b"%%%%", 3, 20, 4, IMAGE.size) + values
    before, label, sides = tail.partition(b"Dimensions")
    one = struct.pack(">4s2Q", b"%%%%", 1, 5)
    height, width = IMAGE.shape
    for side in (width, height):
        sides = sides.replace(one + struct.pack("<I", 2), one + struct.pack("<I", side), 1)
    (dm4 / "image.dm4").write_bytes(head + data + before + label + sides)
    micrograph = read(dm4 / "image.dm4", 0.25)
    np.testing.assert_array_equal(micrograph.images[0], IMAGE)
    assert "the file states " in micrograph.notes[0]


def test_an_emi_file_without_its_ser_file(tmp_path):
    shutil.copy(microscope_file("ncem_16_STOimage.emi"), tmp_path / "a.emi")
    assert refused(tmp_path / "a.emi") == "a.emi: the images are in a_1.ser, which is missing"


def test_without_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rsciio.digitalmicrograph", None)
    (tmp_path / "a.dm3").write_bytes(b"")
    assert refused(tmp_path / "a.dm3") == (
        "a.dm3: files .dm3 need RosettaSciIO: pip install 'passband[micrographs]'"
    )


# The pixel size


def test_pixel_sizes_along_two_axes(tmp_path):
    assert read(rosetta(tmp_path / "a.tif", "tiff", x=0.0252)).pixel_size_A == pytest.approx(0.251)
    path = rosetta(tmp_path / "b.tif", "tiff", x=0.026)
    assert refused(path, None) == (
        "pixel size: b.tif states 0.25 × 0.26 Å, and pixels must be square within 1%; "
        "give --pixel-size-A"
    )
    assert read(path, 0.3).notes == (
        "pixel size 0.3 Å from --pixel-size-A is used; the file states 0.25 × 0.26 Å",
    )


@pytest.mark.parametrize("size", [0, -0.2, 10, 31, float("nan"), float("inf")])
def test_pixel_sizes_that_are_refused(tmp_path, size):
    zarr.create_array(tmp_path / "a.zarr", data=IMAGE, attributes={"pixel_size_A": float(size)})
    assert refused(tmp_path / "a.zarr", size).startswith(f"pixel_size_A = {size:g}: must be above")
    assert refused(tmp_path / "a.zarr", None) == (
        f"pixel size: a.zarr states {size:.4g} Å, allowed is above 0 and below 10 Å; "
        "give --pixel-size-A"
    )
    assert read(tmp_path / "a.zarr", 0.25).pixel_size_A == 0.25


def test_the_users_pixel_size_wins_and_a_note_says_so(tmp_path):
    zarr.create_array(tmp_path / "a.zarr", data=IMAGE, attributes={"pixel_size_A": 0.25})
    close, far = read(tmp_path / "a.zarr", 0.252), read(tmp_path / "a.zarr", 0.26)
    assert (close.pixel_size_A, close.notes) == (0.252, ())
    assert far.pixel_size_A == 0.26
    assert far.notes == ("pixel size 0.26 Å from --pixel-size-A is used; the file states 0.25 Å",)


# Bad input


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.full((48, 64), 7), "a.npy: the image has the value 7 in every pixel"),
        (np.stack([IMAGE, IMAGE * 0]), "a.npy: frame 1 has the value 0 in every pixel"),
        (np.where(IMAGE > 50, np.nan, IMAGE), "pixels that are NaN, infinite or above 3.4e38"),
        (IMAGE * 1e300, "3072 of 3072 pixels that are NaN, infinite or above 3.4e38"),
        (IMAGE[:10, :10], "a.npy: 1 images of 10 × 10 pixels; an image has at least 32 × 32"),
        (IMAGE[:0], "a.npy: 1 images of 0 × 64 pixels"),
        (IMAGE[0, :10], "a.npy: 1 dimensions (10); an image has 2, a stack of images has 3"),
        (IMAGE[None, None], "a.npy: 4 dimensions (1 × 1 × 48 × 64)"),
        (IMAGE + 1j, "a.npy: complex values; an image has real numbers"),
        (IMAGE.astype(str), "values; an image has real numbers"),
        (np.array([None]), "a.npy: not a whole .npy file"),
    ],
)
def test_images_that_no_network_can_use(tmp_path, data, message):
    np.save(tmp_path / "a.npy", data)
    assert message in refused(tmp_path / "a.npy")


def test_paths_that_are_no_images(tmp_path):
    assert refused(tmp_path / "a.png") == "a.png: no such file"
    (tmp_path / "a.bmp").touch()
    assert refused(tmp_path / "a.bmp").startswith("a.bmp: unknown format '.bmp'; formats are .dm3")
    (tmp_path / "b.png").mkdir()
    assert refused(tmp_path / "b.png") == "b.png: a folder, expected a file"


def samples(folder: Path) -> list[Path]:
    """Return a whole file of each format, real ones where they are here."""
    np.save(folder / "a.npy", IMAGE)
    Image.fromarray(IMAGE).save(folder / "a.png")
    Image.fromarray(IMAGE.astype(np.uint8)).save(folder / "a.jpg")
    Image.fromarray(IMAGE).save(folder / "lzw.tif", compression="tiff_lzw")
    tifffile.imwrite(folder / "a.tif", IMAGE)
    tifffile.imwrite(folder / "zip.tif", IMAGE, compression="zlib")
    zarr.create_array(folder / "z.zarr", data=IMAGE)
    shutil.make_archive(str(folder / "z.zarr"), "zip", folder / "z.zarr")
    mrc(folder / "a.mrc", cell=(16, 12))
    rosetta(folder / "a.emd", "emd", FLOATS)
    if (formats := FOLDER / "formats").is_dir():
        for name in ("rsciio_test_STEM_image.dm3", "rsciio_fei_example_tem_stack.emd"):
            shutil.copyfile(formats / name, folder / name)
        (folder / "b_1.ser").write_bytes((formats / "ncem_16_STOimage_1.ser").read_bytes())
    return [path for path in sorted(folder.iterdir()) if path.is_file()]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_damaged_files_give_one_line_and_nothing_is_printed(tmp_path, capfd, caplog):
    pytest.importorskip("rsciio")
    random = np.random.default_rng(1)
    for path in samples(tmp_path):
        whole = path.read_bytes()
        cuts = [whole[: int(len(whole) * part)] for part in (0, 0.003, 0.1, 0.5, 0.9)]
        for content in [*cuts, b"\n", random.bytes(len(whole)), random.bytes(3000)]:
            path.write_bytes(content)
            refused(path)
        for _ in range(10):
            changed = np.frombuffer(whole, np.uint8).copy()
            changed[random.integers(min(len(whole), 2000), size=10)] = random.integers(256, size=10)
            path.write_bytes(changed.tobytes())
            with contextlib.suppress(PassbandError):  # such a file may still be whole
                read(path, 0.25)
    gc.collect()  # RosettaSciIO leaves some damaged files open
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


@pytest.mark.parametrize("suffix", readers())
def test_a_pipe_is_refused_and_not_waited_for(tmp_path, suffix):
    path = tmp_path / f"image{suffix}"
    os.mkfifo(tmp_path / "image_1.ser" if suffix == ".emi" else path)
    path.touch()
    assert refused(path).endswith(" is a pipe, a device or a socket; give a regular file")
    assert recorded(path) == Recorded()


@pytest.mark.parametrize("kind", ["link", "raw", "virtual"])
def test_an_emd_file_with_data_in_another_file_is_refused(tmp_path, kind):
    h5py = pytest.importorskip("h5py")
    path = rosetta(tmp_path / "image.emd", "emd")
    assert read(path).images.shape == (1, *IMAGE.shape)
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["image"] = IMAGE.T
    IMAGE.T.tofile(tmp_path / "other.raw")
    with h5py.File(path, "r+") as file:
        group, shape, dtype = file["signals/image"], IMAGE.T.shape, IMAGE.dtype
        del group["data"]
        if kind == "link":
            group["data"] = h5py.ExternalLink("other.h5", "image")
        elif kind == "raw":
            raw = [(str(tmp_path / "other.raw"), 0, IMAGE.nbytes)]
            group.create_dataset("data", shape, dtype, external=raw)
        else:
            layout = h5py.VirtualLayout(shape, dtype)
            layout[:] = h5py.VirtualSource("other.h5", "image", shape)
            group.create_virtual_dataset("data", layout)
    assert refused(path) == "image.emd: /signals/image/data is in another file, which is not read"
    assert recorded(path) == Recorded()


def test_an_ome_tiff_does_not_open_the_files_that_it_names(tmp_path):
    other, inside = tmp_path / "other.tif", tmp_path / "folder"
    inside.mkdir()
    os.mkfifo(other)
    tifffile.imwrite(inside / "a.ome.tif", IMAGE, ome=True, metadata={"axes": "YX"})
    with tifffile.TiffFile(inside / "a.ome.tif", mode="r+") as file:
        element = '<TiffData IFD="0"><UUID FileName="../other.tif">u</UUID></TiffData>'
        text, number = re.subn(r"<TiffData[^<]*/>", element, file.ome_metadata)
        assert number == 1
        file.pages[0].tags["ImageDescription"].overwrite(text)
    assert (read(inside / "a.ome.tif", 0.25).images == IMAGE).all()


# Masks and folders


def test_masks(tmp_path):
    mask = IMAGE > 55
    Image.fromarray(mask.astype(np.uint8) * 255).save(tmp_path / "a.png")
    np.save(tmp_path / "a.npy", mask)
    np.save(tmp_path / "empty.npy", mask * 0)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), mask[None])
    np.testing.assert_array_equal(read_mask(tmp_path / "a.npy"), mask[None])
    assert not read_mask(tmp_path / "empty.npy").any()
    np.save(tmp_path / "full.npy", mask * 0 + 255)
    assert read_mask(tmp_path / "full.npy").all()
    np.save(tmp_path / "image.npy", IMAGE)
    with pytest.raises(
        PassbandError, match=r"image\.npy: has values from 28 to 80, as an image; a"
    ):
        read_mask(tmp_path / "image.npy")


def test_files_of_folders(tmp_path):
    for name in ("b.png", "a.npy", "c.txt", ".hidden.png", "s.emi", "s_1.ser", "t_1.ser"):
        (tmp_path / name).touch()
    (tmp_path / "z.zarr").mkdir()
    (tmp_path / "within").mkdir()
    names = [path.name for path in find([tmp_path / "b.png", tmp_path])]
    assert names == ["b.png", "a.npy", "s.emi", "t_1.ser", "z.zarr"]
    with pytest.raises(PassbandError, match=r"within: contains no image; formats are \.dm3"):
        find([tmp_path / "within"])
    with pytest.raises(PassbandError, match="absent: no such file or folder"):
        find([tmp_path / "absent"])


def test_transparency_of_a_grey_image_is_ignored(tmp_path):
    grey = Image.fromarray(IMAGE.astype(np.uint8))
    path = tmp_path / "a.tif"
    Image.merge("LA", (grey, Image.new("L", grey.size, 255))).save(path)
    found = read(path, 0.25)
    np.testing.assert_array_equal(found.images[0], IMAGE.astype(np.uint8))
