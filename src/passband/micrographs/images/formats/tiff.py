"""TIFF files: images, and the pixel sizes that programs of microscopy write.

A TIFF file always has a resolution, but nearly always for printing, such as 72 pixels an inch. The
pixel size is read from OME-TIFF (``PhysicalSizeX``), from ImageJ's description (``unit=nm``), and
from the tags of DigitalMicrograph and FEI. A resolution in pixels per inch or per cm is a pixel
size only if a pixel is then smaller than 10 Å, since no printer has such pixels.
"""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from passband.errors import PassbandError
from passband.micrographs.images import declared
from passband.micrographs.images.contents import Content, grey, pillow
from passband.micrographs.images.pixel_size import MAX_PIXEL_SIZE_A, is_reciprocal, length_A
from passband.parts import reader

#: Tags of DigitalMicrograph: units and pixel sizes along y and x.
_DM_UNITS, _DM_SCALES = (65004, 65003), (65010, 65009)
#: Values of the tag ResolutionUnit [Å].
_PRINT_UNITS_A = {2: 2.54e8, 3: 1e8}


@reader(suffixes=(".tif", ".tiff"))
def tiff(path: Path) -> Content:
    """Return the images of a TIFF file.

    If the file has several series of images, the first is read. Images in other files, which an
    OME-TIFF may name, are not read. A compression that needs the library imagecodecs is decoded by
    Pillow if Pillow knows it, such as LZW.
    """
    import tifffile

    with tifffile.TiffFile(path, _multifile=False) as file:
        if not file.series:
            raise PassbandError(f"{path}: contains no image, or is damaged")
        series = file.series[0]
        declared.check(path, series.shape)
        sizes, notes = _pixel_sizes(path, file)
        if len(file.series) > 1:
            notes += (f"{len(file.series)} series of images: the first is used",)
        try:
            images, axes = series.asarray(), series.axes
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            images = axes = None
    if images is None:
        content = pillow(path, "TIFF")
        notes = (*notes, *content.notes)
        return Content(content.images, sizes, notes, is_colour=content.is_colour)
    is_colour = axes.endswith("S") and images.shape[-1] > 2
    if axes.endswith("S"):
        images, note = grey(images)
        notes += note
    elif "S" in axes:  # tifffile writes a stack of three images in this way
        notes += (f"{images.shape[axes.index('S')]} planes of colour are read as a stack",)
    return Content(images, sizes, notes, is_colour=is_colour)


def _pixel_sizes(path: Path, file) -> tuple[tuple[float, float] | None, tuple[str, ...]]:
    """Return the pixel size along height and width [Å], or None, and notes."""
    if file.is_ome:
        return _ome(file.ome_metadata), ()
    tags = file.pages[0].tags
    if all(number in tags for number in (*_DM_UNITS, *_DM_SCALES)):
        texts = [_text(tags[number].value) for number in _DM_UNITS]
        _check_image(path, texts)
        units = [length_A(text) for text in texts]
        if None in units:
            return None, ()
        scales = [float(np.ravel(tags[number].value)[0]) for number in _DM_SCALES]
        return tuple(u * s for u, s in zip(units, scales, strict=True)), ()
    if file.is_imagej:
        text = (file.imagej_metadata or {}).get("unit")
        _check_image(path, [text])
        unit = length_A(text)
        pixels = _resolutions(tags)
        if unit is None or pixels is None:
            return None, ()
        return tuple(unit / pixel for pixel in pixels), ()
    if file.is_fei:
        scan = (file.fei_metadata or {}).get("Scan", {})
        if "PixelWidth" in scan and "PixelHeight" in scan:  # metres
            return (float(scan["PixelHeight"]) * 1e10, float(scan["PixelWidth"]) * 1e10), ()
        return None, ()
    unit = _PRINT_UNITS_A.get(int(tags.valueof("ResolutionUnit", 1)))
    pixels = _resolutions(tags)
    if unit is None or pixels is None or max(unit / p for p in pixels) >= MAX_PIXEL_SIZE_A:
        return None, ()
    return tuple(unit / p for p in pixels), ("pixel size from the TIFF's resolution",)


def _check_image(path: Path, units: list) -> None:
    """Raise PassbandError if a unit is the inverse of a length."""
    if any(map(is_reciprocal, units)):
        raise PassbandError(f"{path}: contains a diffraction pattern, not an image")


def _resolutions(tags) -> tuple[float, float] | None:
    """Return the pixels for each unit along height and width, or None."""
    values = []
    for name in ("YResolution", "XResolution"):
        value = tags.valueof(name)
        if not isinstance(value, tuple) or len(value) != 2 or not all(value):
            return None
        values.append(value[0] / value[1])
    return tuple(values)


def _text(value: object) -> str:
    """Return a tag of DigitalMicrograph, in Latin-1 or UTF-16, as text."""
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    return str(value).replace("\0", "")


def _ome(description: str) -> tuple[float, float] | None:
    """Return the pixel size along height and width of an OME description [Å], or None."""
    for element in ElementTree.fromstring(description).iter():
        if element.tag.rpartition("}")[2] == "Pixels":
            sizes = []
            for axis in "YX":
                size = element.get(f"PhysicalSize{axis}")
                unit = length_A(element.get(f"PhysicalSize{axis}Unit", "µm"))
                if size is None or unit is None:
                    return None
                sizes.append(float(size) * unit)
            return tuple(sizes)
    return None
