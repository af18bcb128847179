"""MRC files."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from passband.micrographs.images import declared, rosetta
from passband.micrographs.images.contents import Content
from passband.parts import reader


@reader(suffixes=(".mrc", ".mrcs"))
def mrc(path: Path) -> Content:
    """Return the images of an MRC file, read with RosettaSciIO.

    An MRC file without a pixel size has a cell of 0 Å. RosettaSciIO then returns 0 or 1 nm. Some
    programs write 1 Å if they do not know the pixel size, so a note mentions this value.
    """
    declared.check_mrc(path)
    # RosettaSciIO looks for other files if a file's name contains "movie", unless told otherwise.
    content = rosetta.read(path, "mrc", metadata_file=None)
    integers = np.fromfile(path, "<i4", 24)
    numbers = integers[7:10]
    sides_A = np.fromfile(path, "<f4", 13)[10:13]
    standard = int(integers[23]) != 131072  # an extended header of FEI
    if standard and (not all(numbers[:2]) or not all(sides_A[:2])):
        return replace(content, pixel_sizes_A=None)
    sizes = content.pixel_sizes_A
    if sizes and all(abs(size - 1) < 1e-6 for size in sizes):
        note = "pixel size 1 Å: some programs write this value if they do not know it"
        return replace(content, notes=(*content.notes, note))
    return content
