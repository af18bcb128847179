"""A reader: the images that a camera's program writes as plain numbers, in files `.dump`.

Such a file begins with the height, the width (32 bits each) and the side of a pixel in nanometres
(a float of 32 bits). The counts follow as numbers of 16 bits, row by row, image after image.
"""

from pathlib import Path

import numpy as np

from passband.micrographs.images.contents import Content
from passband.parts import reader

_HEAD = np.dtype([("height", "<u4"), ("width", "<u4"), ("pixel_nm", "<f4")])


@reader(suffixes=(".dump",))
def dump(path: Path) -> Content:
    """Return the images of a file, and the pixel size that its head states."""
    head = np.fromfile(path, _HEAD, 1)[0]
    counts = np.fromfile(path, "<u2", offset=_HEAD.itemsize)
    images = counts.reshape(-1, head["height"], head["width"])
    side_A = 10 * float(head["pixel_nm"])
    return Content(images, pixel_sizes_A=(side_A, side_A))
