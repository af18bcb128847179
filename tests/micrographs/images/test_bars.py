"""Bars and frames at the edges of an image."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from passband import PassbandError
from passband.micrographs.images import bars
from passband.micrographs.images.bars import Box, inside


def grey(shape=(240, 320), mean=120.0, deviation=30.0):
    """Return an image of noise, in 8 bits."""
    noise = np.random.default_rng(0).normal(mean, deviation, shape)
    return np.clip(np.round(noise), 0, 255).astype(np.float32)


def jpeg(image):
    file = io.BytesIO()
    Image.fromarray(image.astype(np.uint8)).save(file, "JPEG", quality=75)
    return np.asarray(Image.open(file)).astype(np.float32)


def with_data_bar(image, height, value=0, letters=255):
    """Return an image with a data bar, with words and a scale bar, below it."""
    bar = Image.new("L", (image.shape[1], height), value)
    draw = ImageDraw.Draw(bar)
    draw.text((8, 4), "300 kV   330 kX", fill=letters, font=ImageFont.load_default(12))
    draw.rectangle((220, height // 2, 300, height // 2 + 3), fill=letters)
    return np.concatenate([image, np.asarray(bar, np.float32)])


@pytest.mark.parametrize("stored", [lambda image: image, jpeg])
@pytest.mark.parametrize(("value", "letters"), [(0, 255), (255, 0), (64, 200)])
def test_a_data_bar_is_cut_off(stored, value, letters):
    image = with_data_bar(grey(), 27, value, letters)
    box = inside(stored(image))
    assert box[:3] == (0, 320, 0)
    assert box.y1 == 240


def test_a_bar_ends_inside_a_block_of_jpeg():
    """A block of JPEG has 8 rows, and mixes the bar with the image."""
    for height in (24, 27, 30):
        assert 236 <= inside(jpeg(with_data_bar(grey((243, 320)), height))).y1 <= 246


@pytest.mark.parametrize("turns", range(4))
def test_a_bar_may_be_at_any_edge(turns):
    image = np.rot90(with_data_bar(grey(), 27), turns)
    box = inside(image)
    assert sorted(box.shape) == [240, 320]
    np.testing.assert_array_equal(np.rot90(image[box.place], -turns), grey())


@pytest.mark.parametrize("width", [1, 3])
def test_a_frame_is_cut_off(width):
    image = np.pad(grey(), width, constant_values=255)
    assert inside(image) == (width, 320 + width, width, 240 + width)


def test_floats_and_large_integers_have_bars_too():
    image = with_data_bar(grey(), 27)
    for scaled in (image / 255 * 8 - 4, image * 200, image / 1000):
        assert inside(scaled.astype(np.float32)).y1 == 240


@pytest.mark.parametrize("part", [0.005, 0.05, 0.2])
def test_saturated_particles_stay(part):
    image = grey(deviation=20)
    rows, columns = np.ogrid[:240, :320]
    image[(rows - 230) ** 2 + (columns - 160) ** 2 < 2 * part * image.size / np.pi] = 255
    assert inside(image) == Box.whole(image.shape)


@pytest.mark.parametrize("electrons", [0.02, 0.1, 0.3, 2, 30])
def test_counts_of_few_electrons_are_no_bar(electrons):
    image = np.random.default_rng(1).poisson(electrons, (200, 200)).astype(np.float32)
    assert inside(image) == Box.whole(image.shape)


def test_half_an_image_of_one_value_is_no_bar():
    image = grey()
    image[100:] = 0
    assert inside(image) == Box.whole(image.shape)


def test_the_part_of_an_image_is_read_from_text():
    box = Box.parse("10:90,5:60")
    assert box == (10, 90, 5, 60)
    assert box.shape == (55, 80)
    assert str(box) == "10:90,5:60"
    box.check((60, 90))
    for text in ("", "10:90", "9:3,0:5", "-1:5,0:5", "a:b,0:5", "0:5:2,0:5", "1:1,0:5"):
        with pytest.raises(PassbandError, match=r"^crop = .*must be x0:x1,y0:y1"):
            Box.parse(text)
    with pytest.raises(PassbandError, match="--crop = 10:90,5:60: the image has 89 columns and 60"):
        box.check((60, 89))


def test_grey_levels_are_those_of_8_bits():
    assert bars.grey_level(grey()) == 1
    assert bars.grey_level(np.linspace(0, 510, 1000, dtype="f4").reshape(10, 100)) == 2
