"""Read Zarr folders and zip files: Passband's own stores of images, OME-Zarr, and arrays."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import zarr

from passband.errors import PassbandError
from passband.grid import Condition
from passband.micrographs.images import declared
from passband.micrographs.images.contents import Content, of_array
from passband.micrographs.images.file_metadata import NOTHING, Recorded
from passband.micrographs.images.pixel_size import length_A
from passband.storage import DamagedError, datasets, metadata


def read(path: Path) -> Content:
    """Return the images of a Zarr folder or zip file."""
    if path.suffix.lower() != ".zip":
        return _read(path, zarr.open(path, mode="r"))
    if path.is_dir():
        raise PassbandError(f"{path}: a folder, expected a file")
    store = datasets.zip_store(path)
    try:
        return _read(path, zarr.open(store, mode="r"))
    finally:
        store.close()


def _read(path: Path, node) -> Content:
    return replace(_of_node(path, node), stated=_stated(dict(node.attrs)))


def _of_node(path: Path, node) -> Content:
    if isinstance(node, zarr.Array):
        return _of_array(path, node, node.attrs.get("pixel_size_A"))
    attributes = dict(node.attrs)
    if "kind" in attributes and "format" in attributes:
        return _of_passband(path, attributes)
    scales = attributes.get("ome", attributes).get("multiscales")
    if scales:
        return _of_ome(path, node, scales[0])
    arrays = {name: array for name, array in node.arrays() if array.ndim >= 2}
    if len(arrays) != 1:
        names = ", ".join(sorted(arrays)) or "none"
        raise PassbandError(f"{path}: must have one array of an image, found {names}")
    (array,) = arrays.values()
    return _of_array(path, array, array.attrs.get("pixel_size_A", attributes.get("pixel_size_A")))


def _values(path: Path, array) -> np.ndarray:
    """Return the values of a Zarr array, after its declared size was checked."""
    declared.check(path, array.shape)
    declared.check(path, array.chunks)
    if array.nchunks > metadata.MOST_CHUNKS:
        raise PassbandError(f"{path}: has {array.nchunks:,} chunks; it is damaged")
    return np.asarray(array[...])


def _of_array(path: Path, array, pixel_size_A: float | None) -> Content:
    content = of_array(_values(path, array))
    if pixel_size_A is None:
        return content
    return replace(content, pixel_sizes_A=(float(pixel_size_A),) * 2)


def _of_passband(path: Path, attributes: dict) -> Content:
    """Return the counts of a study's store of images."""
    if attributes["kind"] != datasets.IMAGES:
        raise PassbandError(f"{path}: a store of {attributes['kind']}, expected a store of images")
    try:
        counts = datasets.read(path, datasets.IMAGES, ["counts"]).counts.values
    except DamagedError as error:
        raise PassbandError(error.what) from None  # without the advice to delete the store
    size = float(attributes["pixel_size_A"])
    return Content(counts, (size, size))


def _stated(attributes: dict) -> Recorded:
    """Return the condition and the beam energy in the attributes of a study's images."""
    try:
        condition = Condition.parse(str(attributes["condition"]))
        energy = float(attributes["energy_kev"]) if "energy_kev" in attributes else None
    except (KeyError, ValueError, PassbandError):
        return NOTHING
    main = condition.cs_um, condition.aperture_mrad, condition.dose_e_per_A2
    return Recorded(energy, *main, condition)


def _of_ome(path: Path, group, scale: dict) -> Content:
    """Return the largest image of an OME-Zarr group: the first of its levels."""
    level = scale["datasets"][0]
    data = _values(path, group[level["path"]])
    # Leading axes of length 1, such as a time and a channel, are no axes of a stack.
    single = tuple(k for k in range(data.ndim - 2) if data.shape[k] == 1)
    content = of_array(data.squeeze(single))
    units = [axis.get("unit") if isinstance(axis, dict) else None for axis in scale["axes"]]
    for change in level.get("coordinateTransformations", ()):
        lengths = [length_A(unit) for unit in units[-2:]]
        if change.get("type") == "scale" and None not in lengths:
            sizes = [
                float(size) * length
                for size, length in zip(change["scale"][-2:], lengths, strict=True)
            ]
            return replace(content, pixel_sizes_A=tuple(sizes))
    return content
