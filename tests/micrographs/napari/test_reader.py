"""What napari reads by Passband."""

import numpy as np
import pytest
import tifffile
from shown_images import layer, refused

from passband.micrographs.napari import reader
from passband.micrographs.napari.shown import Shown


def test_the_sample_is_read_with_its_scale_in_nm():
    ((data, options, kind),) = reader.sample()
    assert (kind, data.shape) == ("image", (128, 128))
    assert options["scale"] == pytest.approx((0.075, 0.075))
    assert options["units"] == ("nm", "nm")


def test_a_stack_without_a_pixel_size_has_no_scale(tmp_path):
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, np.arange(3 * 64 * 64, dtype=np.uint16).reshape(3, 64, 64))
    ((data, options, _),) = reader.reader_of([str(path)])([str(path)])
    assert data.shape == (3, 64, 64)
    assert "scale" not in options
    named = layer(data, path=str(path))
    assert refused(Shown.of, named) == "image.tif: has no pixel size; give it in Å"
    assert Shown.of(named, 0.5).place["scale"] == (1.0, 0.05, 0.05)


def test_a_file_that_is_damaged_is_one_line(tmp_path):
    path = tmp_path / "image.dm3"
    path.write_bytes(b"no DM3")
    assert str(path) in refused(reader.read, str(path))
