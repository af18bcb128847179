"""Zarr folders and zip files."""

from pathlib import Path

from passband import extras
from passband.micrographs.images.contents import Content
from passband.parts import reader


@reader(suffixes=(".zarr", ".zarr.zip"), folders=True)
def zarr(path: Path) -> Content:
    """Return the images of a Zarr folder or zip file.

    Read are Passband's own stores of images, OME-Zarr, a Zarr array, and a Zarr group with exactly
    one array of two or more dimensions. An attribute ``pixel_size_A`` is the pixel size.
    """
    extras.check(extras.GRID, f"{path}: a Zarr store")
    from passband.micrographs.images import zarr_stores

    return zarr_stores.read(path)
