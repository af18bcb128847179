"""PNG files."""

from pathlib import Path

from passband.micrographs.images.contents import Content, pillow
from passband.parts import reader


@reader(suffixes=(".png",))
def png(path: Path) -> Content:
    """Return the image of a PNG file. Its resolution, for printing, is not a pixel size."""
    return pillow(path, "PNG")
