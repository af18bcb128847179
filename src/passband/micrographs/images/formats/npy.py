"""Arrays of NumPy."""

from pathlib import Path

import numpy as np

from passband.micrographs.images.contents import Content, of_array
from passband.parts import reader


@reader(suffixes=(".npy",))
def npy(path: Path) -> Content:
    """Return the array of an NPY file. The file has no pixel size."""
    with path.open("rb") as file:
        if file.read(6) != b"\x93NUMPY":
            raise ValueError("the header of NPY is missing")
    return of_array(np.load(path, mmap_mode="r", allow_pickle=False))
