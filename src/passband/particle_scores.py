"""Scores of the particles that networks find, computed from their numbers in images.

Each function returns a value for each image, whose mean over images is the score.
"""

from collections.abc import Callable, Mapping

import numpy as np

#: What found particles are compared with: the complete particles of both faces of the substrate, or
#: one label for each pixel, see :mod:`passband.learning.instance_counts`.
TRUTHS = ("faces", "visible")
#: The numbers of an image. Of the true particles that are whole: all (`true`), those with a found
#: partner (`matched`), and of the others those in one found particle with another true one
#: (`merged`), and those in several pieces (`split`); the rest is missed. `hidden` and `cut` are
#: true ones that are not counted: of the former too little is visible, the latter touch the edge.
#: Of the found particles: those that are partners of a whole true one, or have no partner and are
#: whole themselves (`found`), and those that are mostly background (`false`). And numbers and sums
#: of diameters [0.001 nm] of true and of found particles of known size.
NUMBERS = (
    *("true", "matched", "merged", "split", "hidden", "cut"),
    *("found", "false"),
    *("true_sized", "true_pm", "found_sized", "found_pm"),
)
#: The number in place of those of networks that are missing, or that find no particles.
NO_NUMBER = 2**32 - 1


def instance_f1(numbers: np.ndarray) -> np.ndarray:
    """Return the F1 score of particles, with complete particles as the truth.

    It is 2 matched/(true + found), and 1 for an image with neither true nor found ones.

    Args:
        numbers: (…, structure, truth, number), in the order of :data:`TRUTHS` and :data:`NUMBERS`.
    """
    return _f1(_values(numbers, "faces", "matched", "true", "found"))


def instance_f1_visible(numbers: np.ndarray) -> np.ndarray:
    """Return :func:`instance_f1` with one true label for each pixel."""
    return _f1(_values(numbers, "visible", "matched", "true", "found"))


def count_error(numbers: np.ndarray) -> np.ndarray:
    """Return the number of found less that of true particles, relative to the mean number of these.

    It is NaN without any true particle.
    """
    true, found = _values(numbers, "faces", "true", "found")
    mean = true.mean(-1, keepdims=True)
    return _divided(found - true, mean)


def diameter_bias(numbers: np.ndarray) -> np.ndarray:
    """Return the mean diameter of found particles, relative to that of true ones, less 1.

    The mean over images is exactly that, with all particles of all images alike. A single image
    deviates from it as by the delta method for a ratio of means, so that the variance over images
    is that of the ratio. It is NaN without any true or without any found particle.
    """
    true, true_pm, found, found_pm = _values(
        numbers, "faces", "true_sized", "true_pm", "found_sized", "found_pm"
    )
    mean_true, mean_found = (
        _divided(pm.mean(-1, keepdims=True), n.mean(-1, keepdims=True))
        for pm, n in ((true_pm, true), (found_pm, found))
    )
    ratio = _divided(mean_found, mean_true)
    of_found = _divided(found_pm - found * mean_found, found.mean(-1, keepdims=True) * mean_found)
    of_true = _divided(true_pm - true * mean_true, true.mean(-1, keepdims=True) * mean_true)
    return ratio - 1 + ratio * (of_found - of_true)


#: The scores by name.
SCORES: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    each.__name__: each for each in (instance_f1, instance_f1_visible, count_error, diameter_bias)
}


def _f1(values: tuple[np.ndarray, ...]) -> np.ndarray:
    matched, true, found = values
    whole = true + found
    score = np.divide(2 * matched, whole, out=np.ones_like(whole), where=whole != 0)
    return np.where(np.isnan(whole), np.nan, score)


def _values(numbers: np.ndarray, truth: str, *names: str) -> tuple[np.ndarray, ...]:
    """Return some numbers of each image, (…, structure) float64, NaN where they are missing."""
    of_truth = numbers[..., TRUTHS.index(truth), :]
    chosen = (of_truth[..., NUMBERS.index(name)] for name in names)
    return tuple(np.where(each == NO_NUMBER, np.nan, each) for each in chosen)


def _divided(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return a quotient, NaN where the divisor is 0."""
    shape = np.broadcast_shapes(part.shape, whole.shape)
    return np.divide(part, whole, out=np.full(shape, np.nan), where=whole != 0)
