"""What *Segment* finds, without a window."""

import numpy as np
import pytest
from shown_images import refused, sample

import passband
from passband.micrographs.napari import found
from passband.micrographs.napari.shown import KEY, Shown


@pytest.fixture
def image(tmp_path):
    return sample(tmp_path)


@pytest.mark.slow
def test_particles_and_the_verdict_are_those_of_segment(image):
    expected = passband.open("general").segment(image.file)
    shares = []
    result = found.segment(image, "general", lambda share, words: shares.append((share, words)))
    np.testing.assert_array_equal(result.labels, expected.labels)
    assert any(expected.verdict in line for line in result.lines)
    assert shares == [(0, "tile 1 of 1")]
    cut = {each.label for each in expected.particles if each.touches_edge}
    assert cut
    assert set(np.unique(result.outlines[result.outlines % 2 == 1]) // 2) == cut
    assert result.labels_layer["scale"] == pytest.approx((0.075, 0.075))
    assert result.outlines_layer["metadata"][KEY]["is_outlines"]


@pytest.mark.slow
def test_an_image_unlike_the_training_images_says_why():
    noise = np.random.default_rng(0).normal(100, 1, (2, 128, 128)).astype(np.float32)
    result = found.segment(Shown(noise, "noise", None, 0.75), "general")
    assert result.labels.shape == noise.shape
    assert sum("unlike the training images, because of " in line for line in result.lines) == 2


@pytest.mark.slow
def test_cancelled_before_the_first_tile(image):
    said = []
    line = refused(found.segment, image, "general", lambda *words: said.append(words), lambda: True)
    assert line.endswith(found.CANCELLED)
    assert not said


def test_a_network_or_an_image_that_cannot_be_used_is_one_line():
    nothing = Shown(np.full((64, 64), np.nan), "nothing", None, 0.5)
    assert refused(found.segment, nothing, "other").startswith("network = 'other': must be general")
    assert "nothing" in refused(found.segment, nothing, "general")
