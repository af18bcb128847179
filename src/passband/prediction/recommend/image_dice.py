"""The expected Dice of a single image without ground truth, from scores that need no truth.

All scores of an image are relative to the images that its network was trained on: 0 for an image
like those, and larger for an image that is less like them. So the logit of the expected Dice is

    logit(Dice under the training condition) + b₀ − Σ bₖ xₖ,    bₖ ≥ 0,

where xₖ are the scores. No score can raise the expected Dice by being worse, also outside the
images that the coefficients were fitted to. The coefficients are fitted to images whose Dice is
known. The interval is a split conformal one (Lei et al., *J. Am. Stat. Assoc.* 113, 1094, 2018):
its ends are quantiles of the errors for images whose whole conditions were left out of the fit,
divided by a standard deviation that depends on the expected Dice.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from passband.prediction.gaussian_process import COVERAGE
from passband.prediction.json_values import Array, JsonValues, require
from passband.prediction.recommend.network_dice import Dice

#: For each score of an image, what it is.
SCORES = {
    "confidence": "the soft Dice is lower than that of training images",
    "disagreement": "replicas agree less than on training images",
    "symmetry": "the mirror image is segmented in another way",
    "spectrum": "distance of the spectrum",
    "values": "distance of the distribution of pixel values",
    "features": "distance of the network's features",
    "area": "more of the image is predicted to be particle than in any training image",
    "excess": "the largest distance is beyond all images on which the network did well",
    "ctf": "the Dice that the transfer functions of both conditions predict is lower",
}
#: Strength of the penalty on squares of coefficients, as if it were a number of images.
_RIDGE = 1.0
#: The logit of Dice is log((D + ε)/(1 − D + ε)).
_OFFSET = 0.02
#: Added to the variance D(1 − D), so that intervals at D = 0 and D = 1 have a width.
_FLOOR = 0.02


def logit(dice: np.ndarray | float) -> np.ndarray:
    """Return log((D + ε)/(1 − D + ε)), which is finite for D = 0 and D = 1."""
    dice = np.asarray(dice, float)
    return np.log((dice + _OFFSET) / (1 - dice + _OFFSET))


def ctf_score(own: np.ndarray | float, expected: np.ndarray | float) -> np.ndarray:
    """Return the score `ctf`, 0 or more.

    Args:
        own: float or (n,), mean Dice of the network under its training condition.
        expected: float or (n,), the Dice that the transfer functions predict under the condition of
            the image.
    """
    return np.maximum(logit(own) - logit(expected), 0)


@dataclass(frozen=True)
class Calibration(JsonValues):
    """A fitted model of the Dice of an image.

    Attributes:
        names: The scores that are used, out of :data:`SCORES`.
        coefficients: (1 + k,), b₀ and the bₖ.
        inside, outside: Quantiles of the scaled errors, for images that are like those of the
            matrix, and for other images: the lowest and the highest quantile of all kinds of other
            images.
    """

    names: tuple[str, ...]
    coefficients: Array
    inside: tuple[float, float]
    outside: tuple[float, float]

    def __post_init__(self):
        require(set(self.names) <= SCORES.keys(), f"a score is none of {', '.join(SCORES)}")
        require(self.coefficients.shape == (len(self.names) + 1,), "not a coefficient per score")
        require(np.isfinite(self.coefficients).all(), "a coefficient is not finite")
        require((self.coefficients[1:] >= 0).all(), "a coefficient of a score is negative")
        for low, high in (self.inside, self.outside):
            require(low <= high, "the quantiles of errors are not in order")

    def mean(self, own: np.ndarray, scores: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the expected Dice of images, (n,) float array.

        Args:
            own: (n,), mean Dice of the network under its training condition.
            scores: Each (n,).
        """
        return _mean(self.coefficients, own, _design(self.names, scores))

    def expected(self, own: float, scores: Mapping[str, float], is_outside: bool) -> Dice:
        """Return the expected Dice of one image, with its interval."""
        arrays = {name: np.array([scores[name]], float) for name in self.names}
        mean = self.mean(np.array([own]), arrays)
        low, high = (
            float(np.clip(mean + q * _deviation(mean), 0, 1)[0])
            for q in (self.outside if is_outside else self.inside)
        )
        value = float(mean[0])
        return Dice(value, min(low, value), max(high, value))


def _design(names: Sequence[str], scores: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return ones and the negative scores, (n, 1 + k) float array."""
    columns = [-np.asarray(scores[name], float) for name in names]
    return np.stack([np.ones(len(columns[0])), *columns], 1)


def _mean(coefficients: np.ndarray, own: np.ndarray, design: np.ndarray) -> np.ndarray:
    x = _expit(logit(own) + design @ coefficients)
    return np.clip((1 + 2 * _OFFSET) * x - _OFFSET, 0, 1)


def _expit(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(x, -30, 30)))


def _deviation(mean: np.ndarray) -> np.ndarray:
    """Return the scale of errors at an expected Dice."""
    return np.sqrt(mean * (1 - mean) + _FLOOR)


def coefficients(own: np.ndarray, design: np.ndarray, dice: np.ndarray) -> np.ndarray:
    """Return the coefficients with the smallest squared error of Dice; the bₖ are 0 or more.

    Args:
        own: (n,), mean Dice of each image's network under its training condition.
        design: (n, 1 + k), ones and the negative scores.
        dice: (n,), measured Dice.
    """
    from scipy.optimize import minimize

    number, start = design.shape[1], logit(own)

    def loss(b: np.ndarray) -> tuple[float, np.ndarray]:
        x = _expit(start + design @ b)
        error = (1 + 2 * _OFFSET) * x - _OFFSET - dice
        slope = (1 + 2 * _OFFSET) * x * (1 - x)
        penalty = _RIDGE * (b[1:] ** 2).sum() / len(dice)
        gradient = 2 * design.T @ (error * slope) / len(dice)
        gradient[1:] += 2 * _RIDGE * b[1:] / len(dice)
        return float((error**2).mean() + penalty), gradient

    first = np.concatenate([[0.0], np.full(number - 1, 0.5)])
    bounds = [(None, None), *[(0, None)] * (number - 1)]
    return minimize(loss, first, jac=True, method="L-BFGS-B", bounds=bounds).x


#: A function that returns the scores of all images, if only some images are known, (n,) bool array.
Scores = Callable[[np.ndarray], Mapping[str, np.ndarray]]


def left_out(
    names: Sequence[str],
    own: np.ndarray,
    scores: Scores,
    dice: np.ndarray,
    folds: Iterable[np.ndarray],
) -> np.ndarray:
    """Return the expected Dice (fold, n) of images left out of the fit; NaN for the others.

    Args:
        names: The scores that are used, out of :data:`SCORES`.
        own: (n,), mean Dice of each image's network under its training condition.
        scores: Returns the scores of all images from those that are part of the fit.
        dice: (n,), measured Dice.
        folds: The images that are left out together, each (n,) bool.
    """
    result = []
    for fold in folds:
        row, design = np.full(len(dice), np.nan), _design(names, scores(~fold))
        fitted = coefficients(own[~fold], design[~fold], dice[~fold])
        row[fold] = _mean(fitted, own[fold], design[fold])
        result.append(row)
    return np.array(result).reshape(-1, len(dice))


def fit(
    names: Sequence[str],
    own: np.ndarray,
    scores: Scores,
    dice: np.ndarray,
    folds: Sequence[np.ndarray],
    is_outside: np.ndarray,
) -> Calibration:
    """Return the model that is fitted to images with known Dice.

    Args:
        names, own, scores, dice, folds: See :func:`left_out`. For the intervals, the images of each
            fold are left out in turn.
        is_outside: (n,) bool, whether an image is unlike those of the matrix. Each fold has one
            kind of these images.
    """
    mean = left_out(names, own, scores, dice, folds)
    error = (dice - mean) / _deviation(mean)
    inside = error[:, ~is_outside]
    kinds = [row[is_outside & np.isfinite(row)] for row in error]
    each = [quantiles(row) for row in kinds if len(row)] or [quantiles(np.zeros(0))]
    # A new kind of image may be as hard as the hardest known kind.
    outside = min(low for low, _ in each), max(high for _, high in each)
    design = _design(names, scores(np.ones(len(dice), bool)))
    fitted = coefficients(own, design, dice)
    return Calibration(tuple(names), fitted, quantiles(inside[np.isfinite(inside)]), outside)


def quantiles(errors: np.ndarray) -> tuple[float, float]:
    """Return the quantiles of scaled errors between which :data:`COVERAGE` of new errors lie.

    Without errors, the interval has all values of Dice.
    """
    if not len(errors):
        return -1e3, 1e3
    tail = (1 - COVERAGE) / 2
    # The finite number of errors widens the interval, as for every conformal interval.
    widened = max(0.0, (1 + 1 / len(errors)) * tail - 1 / len(errors))
    low, high = np.quantile(errors, [widened, 1 - widened])
    return float(low), float(high)
