"""An image is segmented by what is no network of torch."""

import subprocess
import sys

import pytest

CODE = """
import sys
from types import SimpleNamespace
import numpy as np
from passband.config.detector import DetectorNoise
from passband.micrographs.images.segmentation import segment
from passband.micrographs.images.settings import Settings
from passband.micrographs.trust.certainty import evenness
from passband.micrographs.trust.likeness import features

class Bright:
    name = "bright"
    divisor = 4
    smallest_px = 8
    outputs = 1
    halo = 4
    bytes_per_pixel = 100.0

    def __call__(self, images):
        return self.probability(images)[:, None]

    def probability(self, images):
        assert images.dtype == np.float32 and images.shape[-1] % 4 == 0
        return (images[:, 0] > 1).astype(np.float32)

    def means(self, images):
        return images.mean((2, 3), dtype=float)

network = SimpleNamespace(
    id="bright", normalisation="zscore", pixel_size_A=0.3, smallest_px=8,
    noise=DetectorNoise(), field_px=64, model=lambda precision: Bright(),
)
image = np.random.default_rng(0).normal(10, 0.3, (120, 131)).astype(np.float32)
image[40:80, 30:70] += 10
found = segment(image, 0.3, [network], Settings(flat_field=False))
assert len(found.particles) == 1
assert found.mask[60, 50] and abs(found.mask.sum() - 1600) < 40
small = ((image - image.mean()) / image.std())[:96, :96]
assert evenness([Bright()], small, 64) > 0.8
assert features([Bright(), Bright()], small[None]).shape == (1, 2)
assert "torch" not in sys.modules
"""


@pytest.mark.slow
def test_an_image_is_segmented_without_torch():
    run = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
