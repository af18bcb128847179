"""White and averaged noise, measured in simulated images of a particle on a film."""

import io
import re

import numpy as np
import pytest
from PIL import Image
from real_data import real

from passband.config.detector import DetectorNoise
from passband.micrographs.images import own_noise, preparation, readers
from passband.micrographs.images.own_noise import WHITE_ABOVE, slope, treatment

#: The noise of the training of `general`.
TRAINING = DetectorNoise(form="hann", width_A=1.1, stored_pixel_A=0.776)
FINE_A = 0.125


def counts(pixel_A, dose=200, px=256, seed=0):
    """Return the counts of a film, and of a disc with gold's fringes of 2.35 and 1.44 Å."""
    rng = np.random.default_rng(seed)
    frequency = np.fft.fftfreq(px, pixel_A)
    q = np.hypot(frequency[:, None], frequency)
    film = np.fft.ifft2(np.fft.fft2(rng.normal(size=(px, px))) * np.exp(-((q / 0.4) ** 2))).real
    y, x = (np.indices((px, px)) + 0.5) * pixel_A
    middle = px * pixel_A / 2
    disc = np.hypot(y - middle, x - middle) < 0.6 * middle
    fringes = 0.15 * np.cos(2 * np.pi * x / 2.35) + 0.05 * np.cos(
        2 * np.pi * (x + y) / 1.44 / 2**0.5
    )
    expected = 1 + 0.06 * film / film.std() + disc * (fringes - 0.1)
    return rng.poisson(np.maximum(expected, 0) * dose * pixel_A**2).astype(np.float32)


def drawn(pixel_A, width_A=1.1, dose=400, seed=0):
    """Return an image in 8-bit grey of counts that were averaged with a Hann kernel."""
    image = counts(FINE_A, dose, round(128 * pixel_A / FINE_A), seed)
    image = preparation.filter_noise(image, FINE_A, DetectorNoise(form="hann", width_A=width_A))
    return grey(preparation.resample(image, FINE_A, pixel_A))


def grey(image):
    standard = (image - image.mean()) / image.std()
    return np.clip(np.round((standard + 4) / 8 * 255), 0, 255).astype(np.uint8)


def jpeg(image, quality):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def resized(image, factor, how):
    sides = [round(factor * n) for n in image.shape[::-1]]
    return np.asarray(Image.fromarray(image).resize(sides, how))


def is_white(image, pixel_A):
    return slope(np.asarray(image, np.float32), pixel_A) > WHITE_ABOVE


@pytest.mark.slow
@pytest.mark.parametrize("pixel_A", [0.2, 0.25, 0.3, 0.4, 0.5])
@pytest.mark.parametrize("dose", [50, 200, 1000])
def test_counts_are_white(pixel_A, dose):
    image = counts(pixel_A, dose)
    assert is_white(image, pixel_A)
    assert is_white(grey(image), pixel_A)


def test_detail_beyond_the_first_ring_of_the_reduced_image_leaves_counts_white():
    """At 10⁵ e/Å², the film is stronger than the noise up to 0.8 1/Å."""
    image = counts(0.2, 1e5)
    assert not is_white(preparation.resample(image, 0.2, 0.5), 0.5)
    assert is_white(image, 0.2)


@pytest.mark.slow
@pytest.mark.parametrize("pixel_A", [0.2, 0.3, 0.4, 0.5, 0.6])
@pytest.mark.parametrize(("width_A", "dose"), [(0.9, 50), (1.1, 50), (1.1, 1000)])
def test_drawn_images_are_averaged(pixel_A, width_A, dose):
    assert not is_white(drawn(pixel_A, width_A, dose), pixel_A)


@pytest.mark.parametrize("quality", [95, 85, 60])
def test_jpeg_changes_no_decision(quality):
    assert is_white(jpeg(grey(counts(0.5)), quality), 0.5)
    assert not is_white(jpeg(drawn(0.5), quality), 0.5)


@pytest.mark.parametrize(
    ("pixel_A", "factor", "how"),
    [
        (0.2, 0.4, Image.Resampling.BOX),
        (0.25, 0.5, Image.Resampling.BICUBIC),
        (0.25, 0.5, Image.Resampling.LANCZOS),
        (0.5, 2, Image.Resampling.BICUBIC),
        (0.5, 1.4, Image.Resampling.LANCZOS),
    ],
)
def test_white_images_that_were_resized_are_white_in_all_that_networks_see(pixel_A, factor, how):
    """An enlarged image has no noise beyond the frequencies of its first pixels."""
    assert is_white(resized(grey(counts(pixel_A)), factor, how), pixel_A / factor)


@pytest.mark.slow
@pytest.mark.parametrize("factor", [1.3, 1.55, 2, 2.6])
@pytest.mark.parametrize("how", ["BILINEAR", "BICUBIC", "LANCZOS"])
def test_drawn_images_that_were_enlarged_are_averaged(factor, how):
    image = resized(drawn(0.776), factor, Image.Resampling[how])
    assert not is_white(image, 0.776 / factor)


def test_real_patches_are_averaged():
    """They have pixels of 0.776 Å; enlarged, their noise is measured."""
    for path in sorted((real("hrtem") / "images").glob("*.png")):
        (image,) = readers.read(path, 0.776).images
        assert not is_white(preparation.resample(image, 0.776, 0.6), 0.6)
        assert not is_white(jpeg(grey(preparation.resample(image, 0.776, 0.4)), 85), 0.4)


def test_blocks_of_counts_hot_pixels_and_a_steep_background_stay_white():
    image = counts(0.2)
    assert is_white(image.reshape(128, 2, 128, 2).sum((1, 3)), 0.4)
    assert is_white(image * np.linspace(0.2, 3, 256, dtype=np.float32), 0.2)
    image[::37, ::41] = 10 * image.max()
    assert is_white(image, 0.2)


def test_hot_pixels_and_a_steep_background_do_not_make_an_average_white():
    image = drawn(0.5).astype(np.float32)
    assert not is_white(image * np.linspace(0.2, 3, 128, dtype=np.float32), 0.5)
    image[::37, ::41] = 2000
    assert not is_white(image, 0.5)


@pytest.mark.parametrize("shape", [(64, 64), (40, 250), (33, 32)])
def test_small_and_narrow_images_are_measured(shape):
    window = tuple(slice(n) for n in shape)
    assert is_white(counts(0.4)[window], 0.4)
    assert not is_white(np.tile(drawn(0.5), (1, 2))[window], 0.5)


def test_images_without_noise_have_no_slope():
    image = counts(0.4)
    assert slope(image[:9, :9], 0.4) is None  # too small
    assert slope(image, 0.7) is None
    assert slope(np.full((64, 64), 5, np.float32), 0.5) == -np.inf


def test_only_the_middle_of_a_large_image_is_measured(monkeypatch):
    """A large image needs no transform of the whole image."""
    monkeypatch.setattr(own_noise, "_MOST_PX", 128)
    image = counts(0.5)
    image[64:-64, 64:-64] = drawn(0.5)
    assert slope(image, 0.5) == slope(image[64:-64, 64:-64], 0.5) < WHITE_ABOVE


@pytest.mark.parametrize(
    ("pixel_A", "slope", "asked", "filtered", "line"),
    [
        (0.5, -0.4, None, True, "noise filtered as in the training: .* white .slope -0.4.$"),
        (0.5, -4.5, None, False, "noise not filtered: .* averaged .slope -4.5.; cut off at 0.644"),
        (0.71, None, None, False, r"averaged .pixels of 0.71 Å.; cut off"),
        (0.776, None, None, None, r"noise not filtered: .* averaged .pixels of 0.776 Å.$"),
        (0.5, None, None, True, r"white .pixels of 0.5 Å.$"),
        (0.5, None, True, True, "noise filtered as in the training$"),
        (0.5, None, False, None, "noise not filtered$"),
    ],
)
def test_treatment_follows_from_the_slope_the_pixels_or_the_user(
    pixel_A, slope, asked, filtered, line
):
    """An averaged image keeps its noise up to the frequency where the training images end."""
    cut = DetectorNoise(stored_pixel_A=0.776)
    found, said = treatment(TRAINING, pixel_A, slope, asked)
    assert found == (None if filtered is None else TRAINING if filtered else cut)
    assert re.search(line, said)


def test_a_network_of_white_noise_needs_no_treatment():
    assert treatment(DetectorNoise(), 0.5, -0.1) == (None, "")


def test_a_network_that_knows_white_noise_too_needs_no_filter():
    noise = DetectorNoise(form=["white", "hann"], width_A=[0.7, 1.6], stored_pixel_A=0.776)
    for slope_of_image in (-0.1, -5.0, None):
        found, said = treatment(noise, 0.776, slope_of_image)
        assert found is None
        assert said == "noise not filtered: training images have white noise too"
    # Finer pixels have noise where no training image has any.
    found, said = treatment(noise, 0.5, -0.1)
    assert found == DetectorNoise(stored_pixel_A=0.776)
    assert said.endswith("; cut off at 0.644 1/Å, where the training images end")
    # A user can ask for the filter, which is that of the middle.
    found, _ = treatment(noise, 0.776, None, True)
    assert found.arguments == ("hann", 1.15, [], 0.776)


def test_white_noise_is_filtered_for_a_network_of_several_kernels():
    noise = DetectorNoise(form="hann", width_A=[0.7, 1.6])
    found, _ = treatment(noise, 0.5, -0.1)
    assert found.arguments == ("hann", 1.15, [], 0.0)
    assert treatment(noise, 0.5, -5.0)[0] is None
    # Pixels of 0.7 Å may be those over which the counts of the narrowest kernel were averaged.
    assert treatment(noise, 0.7, None)[0] is None
    assert treatment(noise, 0.6, None)[0] is not None


@pytest.mark.slow
@pytest.mark.parametrize("pixel_A", [0.4, 0.55])
@pytest.mark.parametrize("width_A", [0.7, 0.8, 0.95])
def test_the_kernel_of_averaged_noise_is_found(pixel_A, width_A):
    kernel = DetectorNoise(form="hann", width_A=width_A)
    image = preparation.filter_noise(counts(pixel_A, seed=3), pixel_A, kernel)
    found, why = own_noise.of_camera(image, pixel_A, usual=TRAINING, network_pixel_A=0.5)
    assert found.form == "hann"
    low, high = found.width_A
    assert (low + high) / 2 == pytest.approx(width_A, abs=0.06)
    assert high - low == pytest.approx(0.3)
    assert found.stored_pixel_A == (0.55 if pixel_A == 0.55 else 0)
    assert why.endswith(f", as by Hann kernels of {low:g} to {high:g} Å")


def test_the_camera_of_an_image_with_white_noise_averages_nothing():
    found, why = own_noise.of_camera(counts(0.3), 0.3, usual=TRAINING, network_pixel_A=0.5)
    assert found == DetectorNoise()
    assert why.startswith("its noise is white (slope ")
    # A wider kernel has zeros in the rings, where its width cannot be told.
    wide = preparation.filter_noise(counts(0.4), 0.4, DetectorNoise(form="hann", width_A=2.0))
    found, _ = own_noise.of_camera(wide, 0.4, usual=TRAINING, network_pixel_A=0.5)
    assert found.form == "hann"
    assert 0.7 < found.middle.width_A < 1.3
