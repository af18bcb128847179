"""Files of a segmented image: OME-TIFFs, and an overlay to look at first."""

import glob
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from passband.micrographs.images import own_outputs, particles
from passband.micrographs.images.segmentation import Segmentation
from passband.storage.atomic import replacing
from passband.units import A_PER_NM

#: Sides of an overlay [pixels]. A larger image is reduced, and a smaller image is enlarged.
LARGEST_OVERLAY, SMALLEST_OVERLAY = 2048, 768
#: Colours of outlines: of whole particles, and of particles that touch the edge of the image, from
#: Okabe & Ito (2008).
WHOLE, CUT = (86, 180, 233), (230, 159, 0)
#: The words over an image that is flagged, and their background, from the same source.
UNLIKE = "unlike the training images"
WARNING = (213, 94, 0)
#: The share of the darkest pixels, and of the brightest pixels, whose contrast is not shown.
_CLIPPED = 0.005


def write(
    shown: Sequence[np.ndarray], results: Sequence[Segmentation], folder: Path, name: str
) -> list[Path]:
    """Write the results for the frames of one file, each output file completely or not at all.

    Args:
        shown: The frames that are shown below the outlines, from :func:`reduced`.
        name: The beginning of the names of the output files.

    Returns:
        The files. ``_mask.ome.tif`` has 255 in the particles and 0 elsewhere.
        ``_probability.ome.tif`` is the probability as float32. ``_instances.ome.tif`` has the label
        of each particle. ``_disagreement.ome.tif`` is the standard deviation of the probability
        over several networks, as float32. ``_overlay.png`` shows the first frame, and
        ``_overlay_0001.png`` shows the second frame.
    """
    pixel_nm = results[0].pixel_size_A / A_PER_NM
    most = max(len(result.particles) for result in results)
    label_type = np.uint16 if most <= np.iinfo(np.uint16).max else np.int32
    written = []

    def stack(kind: str, arrays: list[np.ndarray]) -> None:
        path = folder / own_outputs.file_name(name, kind)
        write_tiff(path, arrays, pixel_nm, own_outputs.title(name, kind))
        written.append(path)

    stack("mask", [np.where(each.mask, np.uint8(255), np.uint8(0)) for each in results])
    stack("probability", [each.probability for each in results])
    stack("instances", [each.labels.astype(label_type, copy=False) for each in results])
    if results[0].disagreement is not None:
        stack("disagreement", [each.disagreement for each in results])
    for number, (image, result) in enumerate(zip(shown, results, strict=True)):
        path = folder / (f"{name}_overlay_{number:04d}.png" if number else f"{name}_overlay.png")
        with replacing(path) as beside:
            picture = overlay(image, result)
            picture.save(beside, "PNG", compress_level=1, pnginfo=own_outputs.png_info())
        written.append(path)
    # Files of an earlier run with more networks or more frames do not belong to these results.
    earlier = {folder / f"{name}_disagreement.ome.tif"}
    earlier |= set(folder.glob(f"{glob.escape(name)}_overlay_[0-9][0-9][0-9][0-9].png"))
    for path in earlier - set(written):
        path.unlink(missing_ok=True)
    return written


def write_tiff(path: Path, frames: Sequence[np.ndarray], pixel_nm: float, title: str) -> None:
    """Write frames as an OME-TIFF with the pixel size.

    Args:
        path: The file, whose name ends in ``.ome.tif``.
        frames: One frame, or the frames of a stack, each (height, width). The axis of a stack is
            written as time.
        title: The name of the image in the file.
    """
    import tifffile

    data = frames[0] if len(frames) == 1 else np.stack(frames)
    with replacing(path) as beside:
        # zlib is the one compression that needs no further library for reading or writing.
        tifffile.imwrite(
            beside,
            data,
            ome=True,
            bigtiff=data.nbytes > 2**32 - 2**25,  # not the default for compressed data
            compression="zlib",
            compressionargs={"level": 1},
            photometric="minisblack",
            resolution=(1e7 / pixel_nm, 1e7 / pixel_nm),
            resolutionunit="CENTIMETER",
            software=own_outputs.SOFTWARE,
            metadata={
                "axes": "YX" if data.ndim == 2 else "TYX",
                "Name": title,
                "PhysicalSizeX": pixel_nm,
                "PhysicalSizeXUnit": "nm",
                "PhysicalSizeY": pixel_nm,
                "PhysicalSizeYUnit": "nm",
            },
        )


def reduced(image: np.ndarray) -> np.ndarray:
    """Return an image with at most :data:`LARGEST_OVERLAY` pixels a side: the means of blocks.

    A smaller image is copied. Pixels of an incomplete block at the end are left out.
    """
    side = _reduction(image.shape)
    if side == 1:
        return image.copy()
    height, width = (n // side for n in image.shape)
    blocks = (
        image[side * row : side * (row + 1), : side * width].reshape(side, width, side)
        for row in range(height)
    )
    return np.stack([block.mean(axis=(0, 2), dtype=np.float64) for block in blocks]).astype("f4")


def _reduction(shape: tuple[int, int]) -> int:
    return min(math.ceil(max(shape) / LARGEST_OVERLAY), min(shape))


def overlay(shown: np.ndarray, result: Segmentation):
    """Return a picture of the image with the outlines of its particles and a scale bar.

    A strip above it says so if the image is unlike the training images.

    The contrast is stretched, so that half a percent of the pixels are black and half a percent
    white. An outline is drawn in :data:`WHOLE`, or in :data:`CUT` if the particle touches the edge.

    Args:
        shown: float32, the image, from :func:`reduced`.
        result: The image's segmentation.

    Returns:
        An RGB picture of :data:`SMALLEST_OVERLAY` to :data:`LARGEST_OVERLAY` pixels along its
        longer side, without the strip.
    """
    from PIL import Image, ImageDraw, ImageFont

    side = _reduction(result.labels.shape)
    height, width = shown.shape
    labels = result.labels[side // 2 :: side, side // 2 :: side][:height, :width]
    enlarged = max(1, math.ceil(SMALLEST_OVERLAY / max(shown.shape)))
    grey, labels = (
        each.repeat(enlarged, 0).repeat(enlarged, 1) for each in (stretched(shown), labels)
    )
    pixels = np.repeat(grey[..., None], 3, axis=2)
    edge = particles.outlines(labels)
    thick = max(1, round(max(grey.shape) / 400))
    for _ in range(thick - 1):
        edge |= particles.outlines(np.where(edge, 0, labels))
    cut = np.zeros(int(result.labels.max()) + 1, bool)
    cut[[each.label for each in result.particles if each.touches_edge]] = True
    pixels[edge] = WHOLE
    pixels[edge & cut[labels]] = CUT
    picture = Image.fromarray(pixels)

    # The scale bar.
    pixel_nm = result.pixel_size_A / A_PER_NM * side / enlarged
    length_nm = round_length(grey.shape[1] * pixel_nm / 4)
    length = length_nm / pixel_nm
    size = max(11, grey.shape[1] // 36)
    draw, font = ImageDraw.Draw(picture, "RGBA"), ImageFont.load_default(size)
    text = f"{length_nm:g} nm"
    margin = size // 2
    bottom = grey.shape[0] - margin
    box = max(length, draw.textlength(text, font=font)) + 2 * margin
    draw.rectangle(
        (margin, bottom - 2.2 * size - margin, margin + box, bottom), fill=(0, 0, 0, 150)
    )
    draw.text((margin + box / 2, bottom - 1.3 * size), text, font=font, fill="white", anchor="mm")
    left = margin + (box - length) / 2
    draw.rectangle((left, bottom - 0.6 * size, left + length, bottom - 0.35 * size), fill="white")
    return _below_warning(picture, font) if result.flags else picture


def _below_warning(picture, font):
    """Return a picture below a strip that says that the image is unlike the training images."""
    from PIL import Image, ImageDraw

    width, height = picture.size
    strip = round(2 * font.size)
    result = Image.new("RGB", (width, strip + height), WARNING)
    result.paste(picture, (0, strip))
    place = width / 2, strip / 2
    ImageDraw.Draw(result).text(place, UNLIKE, font=font, fill="white", anchor="mm")
    return result


def stretched(image: np.ndarray) -> np.ndarray:
    """Return grey values (uint8) of an image with the contrast of an overlay."""
    low, high = np.quantile(image, (_CLIPPED, 1 - _CLIPPED))
    return (np.clip((image - low) / max(high - low, 1e-12), 0, 1) * 255).astype(np.uint8)


def round_length(most: float) -> float:
    """Return the largest of the numbers 1, 2, 5, 10, 20 and so on that is at most `most`."""
    power = 10.0 ** math.floor(math.log10(most))
    return max(step * power for step in (1, 2, 5) if step * power <= most * (1 + 1e-9))
