"""What each file format contains: images of any type, and the pixel size that the file states.

The function of a format raises PassbandError if the file is whole but contains no image. Damaged
files raise errors of many types, which :mod:`passband.micrographs.images.readers` turns into one
line.
"""

import contextlib
import importlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from passband.errors import PassbandError
from passband.micrographs.images import declared
from passband.micrographs.images.contents import Content, grey, in_colour, pillow
from passband.micrographs.images.formats import tiff
from passband.micrographs.images.pixel_size import is_reciprocal, length_A
from passband.storage import metadata
from passband.storage.integrity import check_regular


def _by_last_axis(data: np.ndarray) -> Content:
    """Return an array without names of axes. A last axis of 3 or 4 bytes is colour."""
    if data.ndim == 3 and data.shape[-1] in (3, 4) and data.dtype == np.uint8:
        return in_colour(data)
    return Content(data)


def png(path: Path) -> Content:
    """Return the image of a PNG file. Its resolution, for printing, is not a pixel size."""
    return pillow(path, "PNG")


def npy(path: Path) -> Content:
    """Return the array of an NPY file. The file has no pixel size."""
    with path.open("rb") as file:
        if file.read(6) != b"\x93NUMPY":
            raise ValueError("the header of NPY is missing")
    data = np.load(path, mmap_mode="r", allow_pickle=False)
    return _by_last_axis(data)


def zarr(path: Path) -> Content:
    """Return the images of a Zarr folder or zip file.

    Read are Passband's own stores of images, OME-Zarr, a Zarr array, and a Zarr group with exactly
    one array of two or more dimensions. An attribute ``pixel_size_A`` is the pixel size.
    """
    import zarr as library

    from passband.storage import datasets

    if path.suffix == ".zip":
        store = datasets.zip_store(path)
        try:
            return _zarr_node(path, library.open(store, mode="r"))
        finally:
            store.close()
    return _zarr_node(path, library.open(path, mode="r"))


def _zarr_node(path: Path, node) -> Content:
    import zarr as library

    if isinstance(node, library.Array):
        return _zarr_array(path, node, node.attrs.get("pixel_size_A"))
    attributes = dict(node.attrs)
    if "kind" in attributes and "format" in attributes:
        return _passband_images(path, attributes)
    scales = attributes.get("ome", attributes).get("multiscales")
    if scales:
        return _ome_zarr(path, node, scales[0])
    arrays = {name: array for name, array in node.arrays() if array.ndim >= 2}
    if len(arrays) != 1:
        names = ", ".join(sorted(arrays)) or "none"
        raise PassbandError(f"{path}: must have one array of an image, found {names}")
    (array,) = arrays.values()
    return _zarr_array(path, array, array.attrs.get("pixel_size_A", attributes.get("pixel_size_A")))


def _values(path: Path, array) -> np.ndarray:
    """Return the values of a Zarr array, after its declared size was checked."""
    declared.check(path, array.shape)
    declared.check(path, array.chunks)
    if array.nchunks > metadata.MOST_CHUNKS:
        raise PassbandError(f"{path}: has {array.nchunks:,} chunks; it is damaged")
    return np.asarray(array[...])


def _zarr_array(path: Path, array, pixel_size_A: float | None) -> Content:
    content = _by_last_axis(_values(path, array))
    if pixel_size_A is None:
        return content
    return Content(content.images, (float(pixel_size_A),) * 2, content.notes)


def _passband_images(path: Path, attributes: dict) -> Content:
    from passband.storage import DamagedError, datasets

    if attributes["kind"] != datasets.IMAGES:
        raise PassbandError(f"{path}: a store of {attributes['kind']}, expected a store of images")
    try:
        counts = datasets.read(path, datasets.IMAGES, ["counts"]).counts.values
    except DamagedError as error:
        raise PassbandError(error.what) from None  # without the advice to delete the store
    size = float(attributes["pixel_size_A"])
    return Content(counts, (size, size))


def _ome_zarr(path: Path, group, scale: dict) -> Content:
    """Return the largest image of an OME-Zarr group: the first of its levels."""
    level = scale["datasets"][0]
    data = _values(path, group[level["path"]])
    # Leading axes of length 1, such as a time and a channel, are no axes of a stack.
    single = tuple(k for k in range(data.ndim - 2) if data.shape[k] == 1)
    content = _by_last_axis(data.squeeze(single))
    units = [axis.get("unit") if isinstance(axis, dict) else None for axis in scale["axes"]]
    for change in level.get("coordinateTransformations", ()):
        lengths = [length_A(unit) for unit in units[-2:]]
        if change.get("type") == "scale" and None not in lengths:
            sizes = [
                float(size) * length
                for size, length in zip(change["scale"][-2:], lengths, strict=True)
            ]
            return Content(content.images, tuple(sizes), content.notes)
    return content


def _rosetta(module: str, **options) -> Callable[[Path], Content]:
    """Return a function that reads a file with a module of RosettaSciIO."""

    def load(path: Path) -> Content:
        try:
            reader = importlib.import_module(f"rsciio.{module}")
        except ImportError:
            raise PassbandError(
                f"{path}: files {path.suffix} need RosettaSciIO: "
                "pip install 'passband[micrographs]'"
            ) from None
        return _images_of(path, reader.file_reader(str(path), **options))

    return load


def _images_of(path: Path, datasets: Sequence[dict]) -> Content:
    """Return the images among the data sets that RosettaSciIO has read from a file."""
    found, others = [], []
    for dataset in datasets:
        axes = dataset["axes"]
        signal = [axis for axis in axes if not axis["navigate"]]
        if len(signal) == 3 and len({axis.get("units") for axis in signal[1:]}) == 1:
            signal = signal[1:]  # NCEM's EMD does not mark the axis of a stack
        if len(signal) == 1:
            others.append("a spectrum")
        elif len(signal) != 2:
            others.append(f"data of {len(axes)} dimensions")
        elif any(is_reciprocal(axis.get("units")) for axis in signal):
            others.append("a diffraction pattern")
        else:
            found.append(_image(dataset, signal))
    if not found:
        what = ", ".join(dict.fromkeys(others)) or "nothing"
        raise PassbandError(f"{path}: contains {what}, not an image")
    first = found[0]
    if len(found) == 1:
        return first
    if all(
        one.images.ndim == 2
        and one.images.shape == first.images.shape
        and one.pixel_sizes_A == first.pixel_sizes_A
        for one in found
    ):
        images = np.stack([one.images for one in found])
        return Content(images, first.pixel_sizes_A, (*first.notes, f"{len(found)} images"))
    note = f"{len(found)} images of different kinds: the first is used"
    return Content(first.images, first.pixel_sizes_A, (*first.notes, note))


def _image(dataset: dict, signal: list[dict]) -> Content:
    data, notes = np.asarray(dataset["data"]), ()
    if data.dtype.names and data.dtype.names[:3] == ("R", "G", "B"):
        data, notes = grey(np.stack([data[name] for name in "RGB"], axis=-1))
    sizes = []
    for axis in signal:
        length = length_A(axis.get("units"))
        sizes.append(None if length is None else float(axis["scale"]) * length)
    return Content(data, None if None in sizes else tuple(sizes), notes)


def _ser_files(path: Path) -> list[Path]:
    """Return the SER files that belong to an EMI file."""
    stem = path.stem.lower()
    return [
        entry
        for entry in path.absolute().parent.iterdir()
        if suffix(entry) == ".ser" and entry.stem.lower().rpartition("_")[0] == stem
    ]


def emi(path: Path) -> Content:
    """Return the images of the SER files that belong to an EMI file, read with RosettaSciIO."""
    if not _ser_files(path):
        raise PassbandError(f"{path}: the images are in {path.stem}_1.ser, which is missing")
    return _rosetta("tia")(path)


def mrc(path: Path) -> Content:
    """Return the images of an MRC file, read with RosettaSciIO.

    An MRC file without a pixel size has a cell of 0 Å. RosettaSciIO then returns 0 or 1 nm. Some
    programs write 1 Å if they do not know the pixel size, so a note mentions this value.
    """
    # RosettaSciIO looks for other files if a file's name contains "movie", unless told otherwise.
    content = _rosetta("mrc", metadata_file=None)(path)
    cell = np.fromfile(path, "<i4", 10)[7:10], np.fromfile(path, "<f4", 13)[10:13]
    standard = int(np.fromfile(path, "<i4", 24)[23]) != 131072  # an extended header of FEI
    if standard and (not all(cell[0][:2]) or not all(cell[1][:2])):
        return Content(content.images, None, content.notes)
    sizes, notes = content.pixel_sizes_A, content.notes
    if sizes and all(abs(size - 1) < 1e-6 for size in sizes):
        notes += ("pixel size 1 Å: some programs write this value if they do not know it",)
    return Content(content.images, sizes, notes)


#: The function that reads files with a suffix (in lower case). No DM4 file of a whole image was at
#: hand: two real ones have 2² pixels, and a larger one is made from one of these, see the tests.
FORMATS: dict[str, Callable[[Path], Content]] = {
    ".dm3": _rosetta("digitalmicrograph"),
    ".dm4": _rosetta("digitalmicrograph"),
    ".emd": _rosetta("emd", select_type="images"),
    ".emi": emi,
    ".mrc": mrc,
    ".mrcs": mrc,
    ".npy": npy,
    ".png": png,
    ".ser": _rosetta("tia"),
    ".tif": tiff.read,
    ".tiff": tiff.read,
    ".zarr": zarr,
    ".zarr.zip": zarr,
}


def check_safe(path: Path) -> None:
    """Check that the readers of a file will not wait without end, and will open no other file.

    Raises:
        PassbandError: If a file is a pipe, a device or a socket, if it declares more images than it
            can have, or if an HDF5 file refers to data in other files.
    """
    check_regular(path)
    kind = suffix(path)
    if kind == ".emi":
        for entry in _ser_files(path):
            check_regular(entry)
            declared.check_ser(entry)
    if kind == ".ser":
        declared.check_ser(path)
    if kind in (".mrc", ".mrcs"):
        declared.check_mrc(path)
    if kind == ".emd":
        with contextlib.suppress(ImportError):  # the reader says what to install
            import h5py

            with h5py.File(path, "r") as file:
                file.visititems(partial(_check_dataset, path))
                if name := file.visititems_links(partial(_if_outside, file)):
                    raise PassbandError(f"{path}: /{name} is in another file, which is not read")


def files_of(path: Path) -> list[Path]:
    """Return the files with the content of an image file: itself, or those of a folder or an EMI.

    They are sorted. The parts of a Zarr folder are all files in it.
    """
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    return [path, *sorted(_ser_files(path))] if suffix(path) == ".emi" else [path]


def companions(path: Path, folder: Path) -> Iterator[Path]:
    """Yield the paths in a folder of files about an image: with its name, or another suffix."""
    yield folder / path.name
    stem = path.name.removesuffix(suffix(path))
    yield from (folder / f"{stem}{each}" for each in FORMATS)


def _check_dataset(path: Path, _: str, item) -> None:
    """Check the declared size of a data set of an HDF5 file."""
    if hasattr(item, "shape"):
        declared.check(path, item.shape or (), item.id.get_storage_size())


def _if_outside(file, name: str, link) -> str | None:
    """Return the name of a link of an HDF5 file if its data are in another file."""
    import h5py

    outside = isinstance(link, h5py.ExternalLink)
    if isinstance(link, h5py.HardLink) and isinstance(data := file[name], h5py.Dataset):
        sources = data.virtual_sources() if data.is_virtual else ()
        outside = bool(data.external) or any(source.file_name != "." for source in sources)
    return name if outside else None


def suffix(path: Path) -> str:
    """Return the suffix that selects the format, in lower case."""
    name = path.name.lower()
    return ".zarr.zip" if name.endswith(".zarr.zip") else path.suffix.lower()
