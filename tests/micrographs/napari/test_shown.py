"""The image, the file and the pixel size of a layer."""

import numpy as np
from shown_images import layer, refused

from passband.micrographs.napari.shown import Shown


def test_images_that_cannot_be_used_are_one_line():
    assert refused(Shown.of, None).startswith("no image: ")
    colour = layer(np.zeros((8, 8, 3)), name="colour", rgb=True)
    assert refused(Shown.of, colour).startswith("colour: is in colour (RGB)")


def test_only_a_file_that_is_there_and_that_passband_reads_is_the_images_file(tmp_path):
    paths = [tmp_path / name for name in ("there.npy", "other.czi", "gone.npy")]
    for path in paths[:2]:
        path.write_bytes(b"an image")
    found = [Shown.of(layer(np.zeros((64, 64)), path=str(path)), 0.5).file for path in paths]
    assert found == [paths[0], None, None]
