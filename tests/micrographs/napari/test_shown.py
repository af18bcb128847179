"""The image, the file and the pixel size of a layer."""

import numpy as np
from shown_images import layer, refused

from passband.micrographs.napari.shown import Shown


def test_images_that_cannot_be_used_are_one_line():
    assert refused(Shown.of, None).startswith("no image: ")
    colour = layer(np.zeros((8, 8, 3)), name="colour", rgb=True)
    assert refused(Shown.of, colour).startswith("colour: is in colour (RGB)")
