"""Symmetry operations of images."""

import numpy as np
import pytest
import torch

from passband.imaging.square_symmetry import turned


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["compiled", "torch"])
def test_each_image_has_its_own_operation(dtype):
    images = torch.arange(8 * 2 * 25, dtype=dtype).reshape(8, 2, 5, 5)
    found = turned(images, np.arange(8))
    for how, (image, result) in enumerate(zip(images.numpy(), found.numpy(), strict=True)):
        mirrored = image[..., ::-1] if how >= 4 else image
        np.testing.assert_array_equal(result, np.rot90(mirrored, how % 4, (-2, -1)))


def test_no_pixel_outside_the_images_is_written(monkeypatch):
    """Compiled code does not check its indices, and the same code as Python does."""
    monkeypatch.setattr(
        "passband.imaging.square_symmetry.compiled", lambda function, signature: function
    )
    test_each_image_has_its_own_operation(torch.float32)
