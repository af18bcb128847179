"""What RosettaSciIO reads. tests/micrographs/images/test_readers.py has files of its formats."""

import numpy as np
import pytest

from passband.micrographs.images import rosetta

AXES = [{"navigate": False, "units": "nm", "scale": 0.03} for _ in range(2)]


@pytest.mark.parametrize("number", [1, 2])
def test_a_colour_image_is_read_as_grey_and_is_one(tmp_path, monkeypatch, number):
    """So a mask or an image of a camera that is in colour is refused, whatever reads it."""
    module = pytest.importorskip("rsciio.digitalmicrograph")
    colours = np.zeros((20, 30), [(name, "u1") for name in "RGBA"])
    colours["R"] = 30
    grey = np.zeros((20, 30), np.float32)
    for data, is_colour in ((colours, True), (grey, False)):
        files = [{"data": data, "axes": AXES, "metadata": {}}] * number
        monkeypatch.setattr(module, "file_reader", lambda path, files=files: files)
        found = rosetta.read(tmp_path / "a.dm3", "digitalmicrograph")
        assert found.is_colour == is_colour
        assert found.pixel_sizes_A == pytest.approx((0.3, 0.3))
        assert (found.images == (10 if is_colour else 0)).all()
        assert found.images.shape == ((20, 30) if number == 1 else (2, 20, 30))
