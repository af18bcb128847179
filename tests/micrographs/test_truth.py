"""Masks that are compared with their ground truth."""

import numpy as np
import pytest
from thresholds import mask_of_discs

from passband.micrographs import truth


def test_score_counts_pixels():
    true = mask_of_discs((50, 60), (20, 20, 10))
    mask = mask_of_discs((50, 60), (22, 20, 10), (40, 50, 3))
    score = truth.score(mask, true, 0.5)
    both, predicted, positive = (mask & true).sum(), mask.sum(), true.sum()
    assert score.counts == (both, predicted - both, positive - both)
    assert score.dice == pytest.approx(2 * both / (predicted + positive))
    assert str(score) == (
        f"Dice {score.dice:.3f}, precision {both / predicted:.3f}, recall {both / positive:.3f}"
    )
    empty = truth.score(mask, true & False, 0.5)
    assert empty.is_empty
    assert empty.false_positive_nm2 == pytest.approx(predicted * 0.05**2)
    assert not truth.score(true & False, true, 0.5).is_empty


@pytest.mark.parametrize(("pixels", "is_empty"), [(99, True), (100, False)])
def test_an_image_with_hardly_any_truth_is_not_in_the_mean(pixels, is_empty):
    """The boundary is 1% of the image; the wrong area is reported below it."""
    true = np.zeros((100, 100), bool)
    true.flat[:pixels] = True
    score = truth.score(~true, true, 10)
    full = truth.score(true, true, 10)
    lines = truth.lines([("a.npy", score), ("b.npy", full)])
    assert score.is_empty == full.is_empty == is_empty
    if is_empty:
        wrong = "truth covers 0.99%, false-positive area 9901 nm²"
        assert str(score) == wrong
        assert lines[0] == f"not in the mean: a.npy, {wrong}"
        assert lines[-1] == "no mean Dice: no image has a truth that covers 1% of it or more"
    else:
        assert lines == ["mean Dice 0.500 over 2 images"]


def test_without_a_full_truth_there_is_no_mean():
    (line,) = truth.lines([])
    assert line.startswith("no mean Dice: ")
