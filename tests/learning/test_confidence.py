"""Sums over pixels that describe how sure networks are."""

import numpy as np
import pytest
import torch

from passband.learning import confidence
from passband.scores import BINS, PRODUCTS, STATISTICS, pairs

LIMITS = np.log(np.arange(1, BINS) / np.arange(BINS - 1, 0, -1))


def make_logits(replicas=3, images=5, px=24, width=3.0, seed=0):
    random = np.random.default_rng(seed)
    logits = random.normal(0, width, (replicas, images, 1, px, px))
    logits[:, 0, 0, 0, :5] = 200, -200, 0, 1e-8, -1e-8  # exp(200) is infinite in float32
    return logits.astype(np.float32)


def expected(logits):
    """Return the sums, the histogram and the products, in float64."""
    x = logits.astype(float).reshape(*logits.shape[:2], -1)
    decay = np.exp(-np.abs(x))
    p, q = (np.where(sign * x > 0, 1, decay) / (1 + decay) for sign in (1, -1))
    both = np.stack([p, q])
    logs = np.log(both, out=np.zeros_like(both), where=both > 0)
    terms = {
        "p": p,
        "p2": p**2,
        "p_predicted": p * (x > 0),
        "p_max": both.max(0),
        "entropy": -(both * logs).sum(0),
    }
    sums = np.stack([terms[name].sum(-1) for name in STATISTICS], -1)
    places = np.digitize(x, LIMITS.astype(np.float32))
    histogram = np.stack([(places == k).sum(-1) for k in range(BINS)], -1)
    products = {"p": p, "predicted": (x > 0).astype(float)}
    couples = [
        np.stack([(products[n][r] * products[n][s]).sum(-1) for n in PRODUCTS], -1)
        for r in range(len(x))
        for s in range(r + 1, len(x))
    ]
    return sums, histogram, couples


@pytest.fixture(params=["cpu", "gpu"])
def on_device(request, monkeypatch):
    """Compute with the code for a CPU, or with the code for a GPU."""
    if request.param == "gpu":
        monkeypatch.setattr(confidence, "_on_cpu", confidence._on_gpu)


@pytest.mark.usefixtures("on_device")
@pytest.mark.parametrize("pixels_at_a_time", [1, 1000, 2**18])
def test_sums_are_those_of_their_formulas(monkeypatch, pixels_at_a_time):
    monkeypatch.setattr(confidence, "CPU_PIXELS", pixels_at_a_time)
    logits = make_logits()
    made = confidence.confidence([torch.from_numpy(each) for each in logits])
    sums, histogram, products = expected(logits)
    np.testing.assert_allclose(made.sums, sums, rtol=2e-6)
    np.testing.assert_array_equal(made.histogram, histogram)
    np.testing.assert_allclose(made.products, products, rtol=2e-6)
    assert made.sums.dtype == made.products.dtype == torch.float32


def test_many_pixels_are_added_with_small_error():
    logits = make_logits(1, 1, 512, seed=1)
    made = confidence.confidence([torch.from_numpy(logits[0])])
    np.testing.assert_allclose(made.sums, expected(logits)[0], rtol=1e-6)


def test_logits_of_a_lower_precision_are_accepted():
    low = torch.from_numpy(make_logits(1)[0]).bfloat16()
    made = confidence.confidence([low])
    np.testing.assert_allclose(made.sums, expected(low.float().numpy()[None])[0], rtol=2e-6)


def test_one_network_has_no_pairs():
    made = confidence.confidence([torch.zeros(2, 1, 8, 8)])
    assert made.products.shape == (0, 2, 2)
    assert "agreement" not in confidence.missing([4], 1, 2, 3)


def test_a_logit_of_zero_is_one_half_and_is_not_predicted():
    made = confidence.confidence([torch.zeros(1, 1, 2, 2)] * 2)
    sums = dict(zip(STATISTICS, made.sums[0, 0].tolist(), strict=True))
    assert sums == pytest.approx(
        {"p": 2, "p2": 1, "p_predicted": 0, "p_max": 2, "entropy": 4 * np.log(2)}
    )
    assert made.histogram[0, 0].tolist() == [0, 0, 0, 0, 4, 0, 0, 0]
    assert made.products[0, 0].tolist() == [1, 0]


def test_pairs_are_in_ascending_order():
    assert pairs([3, 1, 2]) == [(1, 3), (2, 3), (1, 2)]


def test_fractions_add_up_to_all_pixels():
    parts = confidence.fractions(np.array([[1, 2, 3, 0, 0, 0, 0, 10]]))
    assert parts.dtype == np.uint16
    np.testing.assert_allclose(
        parts / 65535, [[1 / 16, 2 / 16, 3 / 16, 0, 0, 0, 0, 10 / 16]], atol=1e-5
    )
    assert confidence.fractions(np.array([7, *[0] * 7])).tolist() == [65535, *[0] * 7]


def test_missing_values_are_not_numbers():
    record = confidence.missing([5, 3], 1, 2, 4)
    assert np.isnan(record.confidence).all()
    assert record.confidence.dtype == np.float32
    assert np.isnan(record.agreement).all()
    assert not record.histogram.any()
    assert record.agreement.attrs["pair"] == "3-5"
    assert record.confidence.attrs["statistic"] == " ".join(STATISTICS)
