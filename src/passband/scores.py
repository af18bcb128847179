"""From counts of pixels to scores."""

import numpy as np

#: Order of the counts along the axis `outcome`.
OUTCOMES = ("tp", "fp", "fn")


def dice(counts: np.ndarray) -> np.ndarray:
    """Return Dice = 2tp/(2tp + fp + fn), the F1 score of pixels.

    An image without particle pixels scores 1 if none was predicted and 0 otherwise.

    Parameters
    ----------
    counts : (..., 3) int array
        In the order of :data:`OUTCOMES`.
    """
    tp, fp, fn = (counts[..., i].astype(float) for i in range(3))
    return _ratio(2 * tp, 2 * tp + fp + fn)


def iou(counts: np.ndarray) -> np.ndarray:
    """Return the intersection over union tp/(tp + fp + fn), 1 where both are empty."""
    tp, fp, fn = (counts[..., i].astype(float) for i in range(3))
    return _ratio(tp, tp + fp + fn)


def precision(counts: np.ndarray) -> np.ndarray:
    """Return tp/(tp + fp), 1 where nothing was predicted."""
    tp, fp, _ = (counts[..., i].astype(float) for i in range(3))
    return _ratio(tp, tp + fp)


def recall(counts: np.ndarray) -> np.ndarray:
    """Return tp/(tp + fn), 1 where there was nothing to find."""
    tp, _, fn = (counts[..., i].astype(float) for i in range(3))
    return _ratio(tp, tp + fn)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.ones_like(whole), where=whole != 0)
