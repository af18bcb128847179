"""Recognises the files that ``passband predict`` has written, which are no images of a microscope.

They say themselves what they are: TIFF files by their software and title, and PNG files by a text.
So a mask that somebody drew is not mistaken for one, whatever its name is.
"""

import contextlib
import re
from pathlib import Path

from passband.storage.integrity import check_regular
from passband.version import __version__

#: What TIFF and PNG files say about the program that has written them.
SOFTWARE = f"passband {__version__}"
#: The kinds of TIFF files. The title of each ends in its kind.
KINDS = ("mask", "probability", "instances", "disagreement")
#: The end of the name of an overlay.
_OVERLAY = re.compile(r"_overlay(_\d{4})?\.png$")


def title(name: str, kind: str) -> str:
    """Return the title of a TIFF file, one of :data:`KINDS`."""
    return f"{name} {kind}"


def file_name(name: str, kind: str) -> str:
    """Return the name of a TIFF file, one of :data:`KINDS`, for the beginning of its name."""
    return f"{name}_{kind}.ome.tif"


def png_info():
    """Return the text by which a PNG file is recognised, for Pillow's ``pnginfo``."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("Software", SOFTWARE)
    return info


def is_output(path: Path) -> bool:
    """Return whether ``passband predict`` has written a file, by its content.

    Overlays of versions that did not mark them are recognised by their name and the mask beside.
    """
    with contextlib.suppress(Exception):  # readers say later what is wrong with the file
        check_regular(path)
        if path.suffix.lower() in (".tif", ".tiff"):
            return _is_tiff(path)
        if path.suffix.lower() == ".png":
            return _is_png(path)
    return False


def _is_tiff(path: Path) -> bool:
    import tifffile

    with tifffile.TiffFile(path, _multifile=False) as file:
        first = file.pages[0]
        if not str(first.software).startswith("passband "):
            return False
        names = re.findall(r'<Image [^>]*Name="([^"]*)"', first.description)
        return any(name.endswith(tuple(f" {kind}" for kind in KINDS)) for name in names)


def _is_png(path: Path) -> bool:
    from PIL import Image

    with Image.open(path, formats=["PNG"]) as picture:
        if str(picture.info.get("Software", "")).startswith("passband "):
            return True
    mask = _OVERLAY.sub("_mask.ome.tif", path.name)
    return mask != path.name and path.with_name(mask).is_file()
