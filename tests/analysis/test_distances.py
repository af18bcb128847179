"""Distances between images and between networks."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from synthetic import loaded

from passband.analysis import distances as d
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.learning import networks

SEEDS = st.integers(0, 2**32 - 1)


def normal(n: int, dimension: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, dimension))


def orthogonal(dimension: int, seed: int = 1) -> np.ndarray:
    return np.linalg.qr(normal(dimension, dimension, seed))[0]


def whitened(n: int, dimension: int, seed: int = 0) -> np.ndarray:
    """Return random samples with the exact mean 0 and the exact covariance 1."""
    x = normal(n, dimension, seed)
    u, _, v = np.linalg.svd(x - x.mean(0), full_matrices=False)
    return u @ v * np.sqrt(n - 1)


# ── Fréchet distance ─────────────────────────────────────────────────────────────────────────────


def test_frechet_of_gaussians_that_differ_in_mean_and_width():
    """The Fréchet distance is (μ − μ′)² + Σ (σ_k − σ′_k)² if the Gaussians have common axes."""
    x = whitened(40, 3) * [1.0, 2.0, 0.5]
    y = whitened(50, 3, 1) * [3.0, 2.0, 0.0] + [0.0, 0.0, 2.0]
    assert d.frechet(x, y) == pytest.approx(4 + 2.0**2 + 0.5**2)
    rotation = orthogonal(3)
    assert d.frechet(x @ rotation, y @ rotation) == pytest.approx(8.25)


@given(seed=SEEDS, n=st.integers(6, 30), m=st.integers(6, 30))
@settings(max_examples=20)
def test_frechet_is_the_formula_with_the_root_of_a_matrix(seed, n, m):
    x, y = normal(n, 4, seed), 2 * normal(m, 4, seed + 1) @ orthogonal(4) + 1
    A, B = (np.cov(s, rowvar=False) for s in (x, y))
    root = sqrtm(A @ B).real
    expected = np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(A + B - 2 * root)
    assert d.frechet(x, y) == pytest.approx(expected, rel=1e-6)
    assert d.frechet(y, x) == pytest.approx(expected, rel=1e-6)


def test_frechet_of_fewer_samples_than_features_is_zero_to_itself():
    x = normal(5, 64)
    assert d.frechet(x, x) == pytest.approx(0, abs=1e-10)
    assert d.frechet(x, x[::-1] + 1) == pytest.approx(64)


# ── Maximum mean discrepancy ─────────────────────────────────────────────────────────────────────


def test_mmd_of_the_same_distribution_is_zero_on_average_also_of_pairs():
    random = np.random.default_rng(0)
    apart, paired = [], []
    for _ in range(2000):
        x, y, shared = random.normal(size=(3, 6, 2))
        apart.append(d.mmd(x, y, 1.0))
        # As a structure's images under two conditions.
        paired.append(d.mmd(shared + 0.2 * x, shared + 0.2 * y, 1.0))
    for found in (apart, paired):
        error = np.std(found) / np.sqrt(len(found))
        assert abs(np.mean(found)) < 3 * error
        assert min(found) < 0 < max(found)
        assert error < 0.005


def test_mmd_of_gaussians_is_the_analytic_one():
    """For N(0, 1), N(m, 1) and kernel width s, `mmd` is 2s/√(s²+2)·(1 − exp(−m²/2(s²+2)))."""
    s, m = 0.8, 1.5
    expected = 2 * s / np.sqrt(s**2 + 2) * (1 - np.exp(-(m**2) / (2 * (s**2 + 2))))
    x, y = normal(2000, 1), normal(2000, 1, 1) + m
    assert d.mmd(x, y, s) == pytest.approx(expected, abs=0.02)


def test_mmd_by_hand():
    x, y = np.array([[0.0], [1.0]]), np.array([[0.0], [3.0]])
    k = {r: np.exp(-(r**2) / 8) for r in (1, 2, 3)}
    assert d.mmd(x, y, 2.0) == pytest.approx(k[1] + k[3] - k[3] - k[1])
    y = np.array([[2.0], [4.0]])
    assert d.mmd(x, y, 2.0) == pytest.approx(k[1] + k[2] - np.exp(-(4**2) / 8) - k[1])


def test_the_kernels_width_is_the_median_distance():
    assert d.median_distance(np.array([[0.0], [1.0], [5.0]])) == pytest.approx(4)


# ── Centred kernel alignment ─────────────────────────────────────────────────────────────────────


@given(seed=SEEDS, scale=st.floats(1e-3, 1e3), shift=st.floats(-10, 10))
@settings(max_examples=20)
def test_cka_is_blind_to_orthogonal_maps_scale_and_shift(seed, scale, shift):
    x, y = normal(30, 5, seed), normal(30, 7, seed + 1)
    found = d.cka(x, y)
    assert 0 <= found <= 1
    assert d.cka(y, x) == pytest.approx(found)
    assert d.cka(scale * x @ orthogonal(5, seed) + shift, y) == pytest.approx(found)
    assert d.cka(x, -scale * x @ orthogonal(5, seed)) == pytest.approx(1)


def test_cka_sees_other_linear_maps_and_unlike_features():
    x = whitened(100, 4)
    # ‖XᵀX D‖²/(‖XᵀX‖·‖D XᵀX D‖) of a diagonal D: Σd²/√(4·Σd⁴).
    D = np.array([1.0, 2.0, 3.0, 4.0])
    assert d.cka(x, x * D) == pytest.approx(30 / np.sqrt(4 * 354))
    both = whitened(100, 8)
    assert d.cka(both[:, :4], both[:, 4:]) == pytest.approx(0, abs=1e-12)
    assert np.isnan(d.cka(x, np.ones((100, 2))))


# ── Power spectra ────────────────────────────────────────────────────────────────────────────────


def test_spectrum_of_a_wave_is_only_on_its_ring():
    x = np.arange(16)
    image = 5 + 3 * np.cos(2 * np.pi * 4 * x / 16)[:, None] * np.ones(16)
    found = d.spectrum(image[None])
    assert found.shape == (8,)
    ring = np.rint(np.hypot(*np.meshgrid(np.fft.fftfreq(16, 1 / 16), np.fft.fftfreq(16, 1 / 16))))
    # Two frequencies of |F|² = (3·16²/2)², over 16² and over the ring's number of frequencies.
    assert found[3] == pytest.approx(2 * (3 * 16 / 2) ** 2 / (ring == 4).sum())
    np.testing.assert_allclose(np.delete(found, 3), 0, atol=1e-20)


def test_spectrum_of_white_noise_is_its_variance():
    images = 2 * normal(64, 32 * 32).reshape(64, 32, 32)
    np.testing.assert_allclose(d.spectrum(images), 4, rtol=0.1)


def test_spectral_distance_is_in_decibels():
    a = np.array([1.0, 2.0, 3.0, 4.0])
    assert d.spectral(a, a) == 0
    assert d.spectral(a, 10 * a) == pytest.approx(10)
    assert d.spectral(a, a * [10, 1, 1, 1]) == d.spectral(a * [10, 1, 1, 1], a) == pytest.approx(5)


# ── Networks ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "px", "shape"),
    [("compact-w4-d2", 32, (16, 8, 8)), ("unet-resnet18", 64, (512, 2, 2))],
)
def test_features_are_the_inputs_of_the_decoder(name, px, shape):
    """In a prediction, a hook on the encoder sees the same features."""
    network = networks.build(name).eval()
    images, seen = torch.randn(2, 1, px, px), []
    last = network.down[-1] if name.startswith("compact") else network.encoder.layer4
    last.register_forward_hook(lambda module, inputs, output: seen.append(output))
    found = d.features(network, images, "float32")
    with torch.no_grad():
        network(images)
    assert found.shape == (2, *shape)
    assert len(seen) == 2
    torch.testing.assert_close(found, seen[1])


GRID = [Condition(5, 1.2, 15, 100), Condition(15, 1.2, 15, 1000)]
OTHER = Condition(30, 1.2, 15, 1000)


@pytest.fixture(scope="module")
def measured(make_split, microscope):
    camera = Acquisition.from_microscope(microscope, "zscore", torch.device("cpu"))
    splits = {
        "gold": make_split(5, "test"),
        "faint": make_split(5, "test", "faint", phase=0.1),
    }
    trained = {("gold", c): networks.build("compact-w4-d2", k).eval() for k, c in enumerate(GRID)}

    def load(*place):
        return trained.get(place)

    test = [*GRID, OTHER]
    found = d.distances(
        load,
        "gold",
        train=GRID,
        test=test,
        camera=camera,
        structures=loaded(splits),
        precision="float32",
    )
    return found, camera, splits, trained


def test_every_pair_has_every_distance(measured):
    found, *_ = measured
    for name in d.DISTANCES:
        assert found[name].dims == ("test_specimen", "train", "test")
        assert found[name].shape == (2, 2, 3)
        assert found[name].dtype == np.float32
    for name in ("frechet", "mmd", "spectral"):
        assert np.isfinite(found[name]).all()
    assert (found.train_defocus_nm.values == [5, 15]).all()


def test_a_condition_is_at_no_distance_from_itself(measured):
    found, *_ = measured
    own = found.sel(test_specimen="gold").isel(test=slice(2))
    for name, value in (("frechet", 0), ("mmd", 0), ("spectral", 0), ("cka", 1)):
        np.testing.assert_allclose(np.diag(own[name]), value, atol=2e-5)
        assert (np.abs(own[name].values[[0, 1], [1, 0]] - value) > 1e-3).all()
    faint = found.sel(test_specimen="faint").isel(test=slice(2))
    for name in ("frechet", "spectral"):
        assert (np.diag(faint[name]) > 1e-3).all()


def test_cka_needs_a_network_that_is_trained_under_the_test_condition(measured):
    found, *_ = measured
    there = np.isfinite(found.cka)
    assert there.sel(test_specimen="gold", test=[c.id for c in GRID]).all()
    assert not there.sel(test=OTHER.id).any()
    assert not there.sel(test_specimen="faint").any()


def test_values_are_those_of_their_images_and_networks(measured):
    found, camera, splits, trained = measured
    i, j = GRID
    place = {"test_specimen": "gold", "train": i.id, "test": j.id}
    images = {c: camera.images(splits["gold"], c) for c in GRID}
    spectra = [d.spectrum(images[c][:, 0].numpy()) for c in GRID]
    assert found.spectral.sel(place) == pytest.approx(d.spectral(*spectra), rel=1e-5)
    network, other = trained["gold", i], trained["gold", j]
    x, y = (d.features(network, images[c], "float32").mean((2, 3)).numpy() for c in GRID)
    scale = np.sqrt(np.cov(x, rowvar=False).trace())
    assert found.frechet.sel(place) == pytest.approx(d.frechet(x / scale, y / scale), rel=1e-4)
    assert found.mmd.sel(place) == pytest.approx(d.mmd(x, y, d.median_distance(x)), abs=1e-5)
    a, b = (
        np.moveaxis(d.features(n, images[j], "float32").numpy(), 1, -1).reshape(-1, 16)
        for n in (network, other)
    )
    assert found.cka.sel(place) == pytest.approx(d.cka(a, b), rel=1e-4)


def test_missing_and_dead_networks_are_missing_numbers(make_split, camera):
    dead = networks.build("compact-w4-d2").eval()
    for parameter in dead.down.parameters():
        torch.nn.init.zeros_(parameter)
    structures = loaded({"gold": make_split(4, "test")})
    trained = {GRID[0]: dead}
    found = d.distances(
        lambda name, c: trained.get(c),
        "gold",
        train=GRID,
        test=GRID,
        camera=camera,
        structures=structures,
        precision="float32",
    )
    assert np.isfinite(found.spectral).all()
    for name in ("frechet", "mmd", "cka"):
        assert np.isnan(found[name]).all()


def test_parts_are_gathered_by_specimen_architecture_and_test_condition(measured):
    whole, *_ = measured
    parts = [
        (whole.isel(test=some) * scale).assign_attrs(specimen=specimen, architecture=architecture)
        for scale, (specimen, architecture) in enumerate(
            [("gold", "a"), ("gold", "b"), ("faint", "a"), ("faint", "b")], 1
        )
        for some in (slice(2), slice(2, None))
    ]
    found = d.gather(parts)
    assert found.frechet.dims == ("specimen", "architecture", "test_specimen", "train", "test")
    assert found.attrs == {"structures": 5}
    for scale, (specimen, architecture) in enumerate(
        [("gold", "a"), ("gold", "b"), ("faint", "a"), ("faint", "b")], 1
    ):
        part = found.sel(specimen=specimen, architecture=architecture)
        np.testing.assert_allclose(part.spectral, scale * whole.spectral, rtol=1e-6)
        assert list(part.test.values) == list(whole.test.values)
