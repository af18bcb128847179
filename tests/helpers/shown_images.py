"""Images as napari shows them, without napari, and calls that are refused."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from passband.errors import PassbandError
from passband.micrographs.napari import reader
from passband.micrographs.napari.shown import Shown
from passband.results import published


def layer(images, name="image.tif", path=None, **others):
    """Return what a layer of napari has."""
    known = {"rgb": False, "metadata": {}, "multiscale": False} | others
    return SimpleNamespace(data=images, name=name, source=SimpleNamespace(path=path), **known)


def sample(folder: Path) -> Shown:
    """Return the sample, as a file in a folder of its own."""
    path = folder / "image.tif"
    path.write_bytes(published.SAMPLE.read_bytes())
    ((data, options, _),) = reader.read(str(path))
    return Shown.of(layer(data, path=str(path), metadata=options["metadata"]))


def refused(call, *arguments):
    """Return the line with which a call is refused."""
    with pytest.raises(PassbandError) as error:
        call(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)
