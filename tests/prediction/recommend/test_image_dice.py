"""The expected Dice of an image from scores."""

import json
from dataclasses import replace

import numpy as np
import pytest

from passband.prediction.recommend import image_dice
from passband.prediction.recommend.image_dice import Calibration


def made(number=400, seed=0):
    """Return scores, the own Dice and Dice of images that follow the model with some noise."""
    rng = np.random.default_rng(seed)
    scores = {"confidence": rng.exponential(1, number), "spectrum": rng.exponential(1, number)}
    own = np.full(number, 0.9)
    x = image_dice.logit(own) - 1.5 * scores["confidence"] + rng.normal(0, 0.3, number)
    return scores, own, np.clip(1.04 / (1 + np.exp(-x)) - 0.02, 0, 1)


def fitted(names=("confidence", "spectrum")):
    scores, own, dice = made()
    folds = [np.arange(len(dice)) % 4 == k for k in range(4)]
    outside = np.zeros(len(dice), bool)
    return image_dice.fit(names, own, lambda included: scores, dice, folds, outside)


def test_coefficients_of_made_images_are_found():
    found = fitted().coefficients
    # Noise of the logit makes Dice near 1 lower in the mean, so the constant is a little below 0.
    assert found[0] == pytest.approx(-0.2, abs=0.2)
    assert found[1] == pytest.approx(1.4, abs=0.2)
    assert found[2] == pytest.approx(0, abs=0.1)


def test_no_coefficients_beside_those_found_have_a_smaller_error():
    """The error is the mean square, with a penalty on the scores' squares worth one image."""
    scores, own, dice = made()
    model = fitted()

    def error(coefficients):
        mean = replace(model, coefficients=coefficients).mean(own, scores)
        return ((mean - dice) ** 2).mean() + (coefficients[1:] ** 2).sum() / len(dice)

    for step in 0.02 * np.eye(3):
        assert error(model.coefficients - step) > error(model.coefficients)
        assert error(model.coefficients + step) > error(model.coefficients)


@pytest.mark.slow
def test_no_score_can_raise_the_expected_dice():
    # Here Dice rises with the score, which the model must not follow.
    scores, own, _ = made()
    rising = np.clip(scores["confidence"] / 5, 0, 1)
    folds = [np.arange(len(rising)) % 2 == k for k in range(2)]
    model = image_dice.fit(
        ["confidence"], own, lambda included: scores, rising, folds, np.zeros(len(own), bool)
    )
    assert model.coefficients[1] == 0
    for name in ("confidence", "spectrum"):
        base = dict.fromkeys(("confidence", "spectrum"), 1.0)
        values = [
            fitted().expected(0.9, base | {name: x}, False).value for x in (0, 1, 3, 10, 1000)
        ]
        assert (np.diff(values) <= 1e-12).all()
    assert fitted().expected(0.9, {"confidence": 1000, "spectrum": 0}, False).value < 1e-3


def test_an_image_like_the_training_has_the_networks_own_dice():
    for own in (0.6, 0.9):
        found = fitted().expected(own, {"confidence": 0, "spectrum": 0}, False)
        assert found.value == pytest.approx(own, abs=0.08)
        assert found.low <= found.value <= found.high


def test_nine_of_ten_new_images_are_in_the_interval():
    model = fitted()
    scores, _, dice = made(seed=9)
    ends = [
        model.expected(0.9, {name: each[k] for name, each in scores.items()}, False)
        for k in range(len(dice))
    ]
    covered = np.mean([e.low <= d <= e.high for e, d in zip(ends, dice, strict=True)])
    assert 0.85 < covered < 0.96


def test_without_images_of_a_kind_the_interval_has_every_dice():
    found = fitted().expected(0.9, {"confidence": 1, "spectrum": 1}, True)
    assert (found.low, found.high) == (0, 1)
    low, high = image_dice.quantiles(np.zeros(0))
    assert low < -100
    assert high > 100


def test_interval_of_unlike_images_is_that_of_the_hardest_kind():
    scores, own, dice = made()
    kinds = np.arange(len(dice)) % 5
    harder = np.where(kinds == 4, np.clip(dice - 0.5, 0, 1), dice)
    folds, outside = [kinds == k for k in range(5)], kinds >= 3
    model = image_dice.fit(["confidence"], own, lambda included: scores, harder, folds, outside)
    inside, unlike = (model.expected(0.9, {"confidence": 0.5}, which) for which in (False, True))
    assert unlike.value == inside.value
    assert unlike.low < inside.low - 0.2
    only = image_dice.fit(
        ["confidence"], own, lambda included: scores, harder, folds, kinds == 3
    ).outside
    assert model.outside[0] < only[0]


def test_left_out_images_are_not_part_of_the_fit():
    scores, own, dice = made()
    fold = np.arange(len(dice)) < 40
    seen = []

    def of(included):
        seen.append(included)
        return scores

    first = image_dice.left_out(["confidence"], own, of, dice, [fold])
    changed = np.where(fold, 1 - dice, dice)
    again = image_dice.left_out(["confidence"], own, of, changed, [fold])
    assert np.array_equal(first, again, equal_nan=True)
    assert np.isnan(first[0, ~fold]).all()
    assert np.isfinite(first[0, fold]).all()
    assert not seen[0][fold].any()


def test_calibration_is_the_same_after_json():
    model = fitted()
    again = Calibration.from_values(json.loads(json.dumps(model.to_values())))
    scores = {"confidence": 0.3, "spectrum": 2.0}
    assert again.expected(0.8, scores, False) == model.expected(0.8, scores, False)


@pytest.mark.parametrize(
    ("key", "wrong"), [("coefficients", {}), ("coefficients", ["a"]), ("names", 3), ("names", None)]
)
def test_damaged_values_of_json_are_one_error(key, wrong):
    values = fitted().to_values()
    assert Calibration.from_values(values).names == fitted().names
    with pytest.raises(ValueError, match=r".") as error:
        Calibration.from_values(values | {key: wrong})
    assert "\n" not in str(error.value)


def test_ctf_score_is_zero_if_the_condition_is_as_good_as_the_own():
    assert image_dice.ctf_score(0.9, 0.95) == 0
    assert image_dice.ctf_score(0.9, 0.5) > image_dice.ctf_score(0.9, 0.7) > 0
