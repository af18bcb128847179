"""Scores of segmentations, such as Dice, computed from counts of pixels."""

import numpy as np

#: Order of the counts of pixels along the dimension `outcome`: true positives, false positives and
#: false negatives.
OUTCOMES = ("tp", "fp", "fn")


def dice(counts: np.ndarray) -> np.ndarray:
    """Return Dice = 2tp/(2tp + fp + fn), the F1 score of pixels.

    For an image without particle pixels, Dice is 1 if no particle pixel was predicted, otherwise 0.

    Args:
        counts: (..., 3) int, counts of pixels in the order of :data:`OUTCOMES`.
    """
    tp, fp, fn = (counts[..., i].astype(float) for i in range(3))
    return _ratio(2 * tp, 2 * tp + fp + fn)


def counts_of_masks(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Return the counts (3,) of a mask and its ground truth, bool arrays of the same shape."""
    tp = np.count_nonzero(predicted & true)
    fp, fn = np.count_nonzero(predicted) - tp, np.count_nonzero(true) - tp
    return np.array([tp, fp, fn], np.int64)


def dice_of_masks(predicted: np.ndarray, true: np.ndarray) -> float:
    """Return :func:`dice` of a mask and its ground truth, see :func:`counts_of_masks`."""
    return float(dice(counts_of_masks(predicted, true)))


def iou(counts: np.ndarray) -> np.ndarray:
    """Return the intersection over union tp/(tp + fp + fn); 1 if truth and prediction are empty."""
    tp, fp, fn = (counts[..., i].astype(float) for i in range(3))
    return _ratio(tp, tp + fp + fn)


def precision(counts: np.ndarray) -> np.ndarray:
    """Return the precision tp/(tp + fp); 1 if no particle pixel was predicted."""
    tp, fp, _ = (counts[..., i].astype(float) for i in range(3))
    return _ratio(tp, tp + fp)


def recall(counts: np.ndarray) -> np.ndarray:
    """Return the recall tp/(tp + fn); 1 if the image has no particle pixels."""
    tp, _, fn = (counts[..., i].astype(float) for i in range(3))
    return _ratio(tp, tp + fn)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.ones_like(whole), where=whole != 0)
