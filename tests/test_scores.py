"""Scores compared with those of scikit-learn, and scores of empty masks."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from passband import scores
from passband.scores import dice, iou, precision, recall

THEIRS = {
    dice: "f1_score",
    iou: "jaccard_score",
    precision: "precision_score",
    recall: "recall_score",
}
ALL = pytest.mark.parametrize("score", THEIRS)


@pytest.fixture(scope="module")
def metrics():
    """Scikit-learn's scores, which only the process with these tests needs to import."""
    from sklearn import metrics

    return metrics


def counts_of(truth, prediction):
    return np.array(
        [
            np.sum(truth & prediction),
            np.sum(~truth & prediction),
            np.sum(truth & ~prediction),
        ]
    )


def test_order_of_the_counts():
    assert scores.OUTCOMES == ("tp", "fp", "fn")
    counts = np.array([6, 2, 1])
    assert dice(counts) == pytest.approx(12 / 15)
    assert iou(counts) == pytest.approx(6 / 9)
    assert precision(counts) == pytest.approx(6 / 8)
    assert recall(counts) == pytest.approx(6 / 7)


@ALL
def test_scores_are_scikit_learns(score, metrics):
    rng = np.random.default_rng(0)
    truth = rng.random((40, 50)) < rng.choice([0, 0.02, 0.5, 1], (40, 1))
    prediction = rng.random((40, 50)) < rng.choice([0, 0.02, 0.5, 1], (40, 1))
    counts = np.stack([counts_of(t, p) for t, p in zip(truth, prediction, strict=True)])
    score_of = getattr(metrics, THEIRS[score])
    theirs = [score_of(t, p, zero_division=1.0) for t, p in zip(truth, prediction, strict=True)]
    empty = ~truth.any(1) & ~prediction.any(1)
    assert empty.any()  # the rule for nothing is among what is compared
    np.testing.assert_allclose(score(counts), theirs)


def test_dice_of_masks_is_that_of_their_counts(metrics):
    rng = np.random.default_rng(1)
    truth, prediction = rng.random((2, 20, 30)) < 0.4
    expected = metrics.f1_score(truth.ravel(), prediction.ravel())
    assert scores.dice_of_masks(prediction, truth) == pytest.approx(expected)
    assert scores.dice_of_masks(~truth, truth) == 0
    assert scores.dice_of_masks(truth & ~truth, truth & ~truth) == 1


@ALL
def test_an_empty_prediction_of_an_empty_mask_is_perfect(score):
    assert score(np.array([0, 0, 0])) == 1


def test_a_prediction_for_an_empty_mask_scores_zero():
    counts = np.array([0, 1, 0])
    assert dice(counts) == iou(counts) == precision(counts) == 0


def test_an_empty_prediction_of_a_mask_scores_zero():
    counts = np.array([0, 0, 1])
    assert dice(counts) == iou(counts) == recall(counts) == 0


@ALL
def test_missing_networks_stay_missing(score):
    counts = np.array([[np.nan, np.nan, np.nan], [5, 0, 0], [0, 0, 0]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(score(counts), [np.nan, 1, 1])


@ALL
def test_counts_of_unsigned_integers_do_not_overflow(score):
    counts = np.array([2**32 - 1, 2**32 - 1, 2**32 - 1], np.uint32)
    expected = {dice: 1 / 2, iou: 1 / 3, precision: 1 / 2, recall: 1 / 2}
    assert score(counts) == pytest.approx(expected[score])


pixels = st.integers(0, 2**20)


@given(pixels, pixels, pixels)
def test_dice_and_iou_determine_each_other(tp, fp, fn):
    counts = np.array([tp, fp, fn])
    assert 0 <= iou(counts) <= dice(counts) <= 1
    assert dice(counts) == pytest.approx(2 * iou(counts) / (1 + iou(counts)))


@ALL
def test_leading_axes_are_kept(score):
    counts = np.random.default_rng(0).integers(0, 9, (2, 3, 4, 3))
    assert score(counts).shape == (2, 3, 4)
    assert score(counts)[1, 2, 3] == score(counts[1, 2, 3])
