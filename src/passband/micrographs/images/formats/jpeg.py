"""JPEG files."""

from pathlib import Path

from passband.micrographs.images.contents import Content, pillow
from passband.parts import reader


@reader(suffixes=(".jpg", ".jpeg"))
def jpeg(path: Path) -> Content:
    """Return the image of a JPEG file. Its resolution, for printing, is not a pixel size."""
    return pillow(path, "JPEG")
