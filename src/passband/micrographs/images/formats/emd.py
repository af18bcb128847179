"""EMD files of Velox and of NCEM, which are HDF5."""

import contextlib
from functools import partial
from pathlib import Path

from passband.errors import PassbandError
from passband.micrographs.images import declared, rosetta
from passband.micrographs.images.contents import Content
from passband.parts import reader


@reader(suffixes=(".emd",))
def emd(path: Path) -> Content:
    """Return the images of an EMD file, read with RosettaSciIO.

    Raises:
        PassbandError: If data sets are in other files, or if they declare more values than the file
            can have.
    """
    with contextlib.suppress(ImportError):  # RosettaSciIO needs it, and says what to install
        import h5py

        with h5py.File(path, "r") as file:
            file.visititems(partial(_check_dataset, path))
            if name := file.visititems_links(partial(_if_outside, file)):
                raise PassbandError(f"{path}: /{name} is in another file, which is not read")
    return rosetta.read(path, "emd", select_type="images")


def _check_dataset(path: Path, _: str, item) -> None:
    """Check the declared size of a data set of an HDF5 file."""
    if hasattr(item, "shape"):
        declared.check(path, item.shape or (), item.id.get_storage_size())


def _if_outside(file, name: str, link) -> str | None:
    """Return the name of a link of an HDF5 file if its data are in another file."""
    import h5py

    outside = isinstance(link, h5py.ExternalLink)
    if isinstance(link, h5py.HardLink) and isinstance(data := file[name], h5py.Dataset):
        sources = data.virtual_sources() if data.is_virtual else ()
        outside = bool(data.external) or any(source.file_name != "." for source in sources)
    return name if outside else None
