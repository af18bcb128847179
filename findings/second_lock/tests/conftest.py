"""A folder of images as those that are damaged on purpose."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def folder(tmp_path):
    """A folder with an image of noise with a bright square, and an empty image."""
    random = np.random.default_rng(0)
    for name, size in (("a", 40), ("empty", 0)):
        values = random.normal(100, 10, (132, 132))
        mask = np.zeros((132, 132), np.uint8)
        mask[20 : 20 + size, 20 : 20 + size] = 255
        values[mask > 0] += 60
        for kind, image in (("images", values), ("masks", mask)):
            (tmp_path / kind).mkdir(exist_ok=True)
            Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(
                tmp_path / kind / f"{name}.png"
            )
    return tmp_path
