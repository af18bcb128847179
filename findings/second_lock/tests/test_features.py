"""Distances between features of networks."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from findings.second_lock import features as d
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


# ── Maximum mean discrepancy ─────────────────────────────────────────────────────────────────────


def test_mmd_of_the_same_distribution_is_zero_on_average_also_of_pairs():
    random = np.random.default_rng(0)
    apart = []
    paired = []
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
    s = 0.8
    m = 1.5
    expected = 2 * s / np.sqrt(s**2 + 2) * (1 - np.exp(-(m**2) / (2 * (s**2 + 2))))
    x = normal(2000, 1)
    y = normal(2000, 1, 1) + m
    assert d.mmd(x, y, s) == pytest.approx(expected, abs=0.02)


def test_mmd_by_hand():
    x = np.array([[0.0], [1.0]])
    y = np.array([[0.0], [3.0]])
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
    x = normal(30, 5, seed)
    y = normal(30, 7, seed + 1)
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


# ── Networks ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "px", "shape"),
    [("compact-w4-d2", 32, (16, 8, 8)), ("unet-resnet18", 64, (512, 2, 2))],
)
def test_features_are_the_inputs_of_the_decoder(name, px, shape):
    """In a prediction, a hook on the encoder sees the same features."""
    network = networks.build(name).eval()
    images = torch.randn(2, 1, px, px)
    seen = []
    last = network.down[-1] if name.startswith("compact") else network.encoder.layer4
    last.register_forward_hook(lambda module, inputs, output: seen.append(output))
    found = d.features(network, images, "float32")
    with torch.no_grad():
        network(images)
    assert found.shape == (2, *shape)
    assert len(seen) == 2
    torch.testing.assert_close(found, seen[1])
