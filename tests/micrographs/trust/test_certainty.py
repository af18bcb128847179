"""How sure networks are of an image."""

import numpy as np
import pytest
import torch
from scipy.special import expit

from passband.config.architectures import parse
from passband.learning import networks
from passband.learning.torch_model import TorchModel
from passband.micrographs.trust import certainty


def test_soft_dice_is_the_mean_dice_of_masks_drawn_from_the_probabilities():
    rng = np.random.default_rng(3)
    p = rng.uniform(size=(60, 60)) ** 2
    predicted = p > 0.5
    drawn = [
        2 * (predicted & true).sum() / (predicted.sum() + true.sum())
        for true in (rng.uniform(size=p.shape) < p for _ in range(200))
    ]
    assert certainty.windowed_dice(p, 60) == pytest.approx(np.mean(drawn), abs=0.005)
    assert certainty.windowed_dice(np.zeros((4, 4)), 4) == 0
    assert certainty.windowed_dice(predicted.astype(float), 60) == 1


def test_agreement_is_the_soft_dice_of_pairs():
    p = np.random.default_rng(0).uniform(size=(3, 8, 8))
    pairs = [(0, 1), (0, 2), (1, 2)]
    product = sum((p[r] * p[s]).sum() for r, s in pairs)
    squares = sum((p[r] ** 2 + p[s] ** 2).sum() for r, s in pairs)
    found = certainty.agreement_of(p.mean(0), p.std(0, ddof=1), 3)
    assert found == pytest.approx(2 * product / squares)
    assert certainty.agreement_of(p[0], np.zeros((8, 8)), 2) == pytest.approx(1)


def test_sureness_of_replicas_is_that_of_their_mean():
    p, q = np.full((4, 4), 0.9), np.full((4, 4), 0.3)
    q[:, 2:] = p[:, 2:] = 0.0
    found = certainty.sureness([p, q], 4)
    assert found["area"] == 0.5
    assert found["confidence"] == pytest.approx(2 * 0.6 / 1.6)
    assert found["agreement"] == pytest.approx(2 * 0.27 / (0.81 + 0.09))


def test_probabilities_of_the_mirror_image_are_mirrored_back():
    pair = [networks.build("compact-w2-d2", seed).eval() for seed in (0, 1)]
    models = [TorchModel(each, parse("compact-w2-d2")) for each in pair]
    images = np.random.default_rng(0).normal(size=(3, 32, 32)).astype(np.float32)
    found = certainty.probabilities(models, images)
    assert found.shape == (2, 2, 3, 32, 32)
    mirrored = certainty.probabilities(models, images[..., ::-1])
    assert np.allclose(found[0], mirrored[1][..., ::-1], atol=1e-5)
    with torch.inference_mode():
        own = torch.sigmoid(pair[1](torch.from_numpy(images)[:, None]))[:, 0]
    assert np.allclose(found[0, 1], own.numpy(), atol=1e-5)


def test_symmetry_is_one_for_a_symmetric_network_and_low_for_other_answers():
    p = np.random.default_rng(1).uniform(size=(1, 2, 4, 8, 8))
    same = certainty.symmetry(np.concatenate([p, p]))
    assert np.allclose(certainty.ratio(*same), 1)
    left, right = np.zeros((2, 1, 1, 1, 8, 8))
    left[..., :4], right[..., 4:] = 1, 1
    assert certainty.ratio(*certainty.symmetry(np.concatenate([left, right]))) == 0
    half = np.concatenate([left, np.ones_like(left)])
    assert certainty.ratio(*certainty.symmetry(half)) == pytest.approx(2 / 3)
    assert certainty.ratio(0.0, 0.0) == 1


def test_empty_background_of_a_wide_image_does_not_lower_the_confidence():
    rng = np.random.default_rng(0)
    small = np.full((64, 64), 0.05) + rng.uniform(0, 0.02, (64, 64))
    small[20:44, 20:44] = 0.9
    wide = np.full((256, 320), 0.06)
    wide[100:164, 100:164] = small
    of_small = certainty.windowed_dice(small, 64)
    hits = small[small > 0.5].sum()
    assert of_small == pytest.approx(2 * hits / (small.sum() + 24**2))
    assert certainty.windowed_dice(small, 100) == pytest.approx(of_small)
    assert certainty.windowed_dice(wide, 320) < 0.6 * of_small
    assert certainty.windowed_dice(wide, 64) > 0.85 * of_small
    assert certainty.windowed_dice(np.zeros((70, 70)), 64) == 0


def test_windows_of_a_wide_image_cover_it():
    wide = np.zeros((150, 97))
    for row, column in ((0, 0), (149, 96), (0, 96), (149, 0), (75, 50)):
        single = wide.copy()
        single[row, column] = 1
        assert certainty.windowed_dice(single, 32) == pytest.approx(1)


class Bright:
    """Takes bright pixels for particles."""

    divisor = 8

    def probability(self, images):
        return expit(8 * (images[:, 0] - 1))


def test_evenness_is_low_where_the_background_makes_the_mask():
    y, x = np.ogrid[-1:1:62j, -1:1:70j]
    noise = np.random.default_rng(0).normal(0, 0.1, (62, 70))
    discs = sum(((y - a) ** 2 + (x - b) ** 2 < 0.02) * 2.0 for a, b in ((-0.5, 0.3), (0.4, -0.4)))
    found = {}
    for name, light in {"even": 0 * x, "waves": 2 * np.sin(2 * x)}.items():
        image = (noise + discs + light).astype(np.float32)
        found[name] = certainty.evenness([Bright(), Bright()], image, 20)
    assert found["even"] > 0.9
    assert found["waves"] < 0.6
    assert found["waves"] > 0
