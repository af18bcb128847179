"""How sure networks are of an image: their probabilities, replicas, and the mirror image.

All values are Dice scores of probabilities, from 0 to 1. None needs a ground truth.
"""

from collections.abc import Sequence

import numpy as np

from passband.micrographs.models.model import Model

#: Standard deviation of the blur that is the smooth part of an image, in sides of a training image.
SMOOTH = 0.4


def agreement_of(mean: np.ndarray, deviation: np.ndarray, number: int) -> float:
    """Return how far replicas agree: the soft Dice of two replicas, from 0 to 1.

    The soft Dice of the probabilities p and p′ is 2 Σ pp′ / (Σ p² + Σ p′²), summed over all pairs
    of replicas in the numerator and the denominator. It is computed from the mean and the standard
    deviation over the replicas.

    Args:
        mean, deviation: (height, width), mean and sample standard deviation of p over the replicas.
        number: Number of replicas, 2 or more.
    """
    squares = float(np.square(mean, dtype=np.float64).sum())
    variance = float(np.square(deviation, dtype=np.float64).sum())
    product = squares - variance / number
    own = squares + variance * (number - 1) / number
    return max(0.0, product / own) if own > 0 else 1.0


def probabilities(models: Sequence[Model], inputs: np.ndarray) -> np.ndarray:
    """Return the probabilities for images and for their mirror images.

    A network whose training images were flipped at random should segment the mirror image as it
    segments the image.

    Args:
        inputs: (n, side, side) float32, the normalised images.

    Returns:
        (2, network, n, side, side) float32: the probabilities for the images, and for their mirror
        images, which are mirrored back.
    """
    images = np.ascontiguousarray(inputs, np.float32)[:, None]
    mirrored = np.ascontiguousarray(images[..., ::-1])
    plain = np.stack([model.probability(images) for model in models])
    back = np.stack([model.probability(mirrored)[..., ::-1] for model in models])
    return np.stack([plain, back])


def symmetry(found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how far the probabilities of an image and of its mirror image agree.

    The agreement is the soft Dice Σ 2pp′ / Σ (p² + p′²) of both probabilities. For several images,
    both sums are added.

    Args:
        found: (2, network, n, side, side), the result of :func:`probabilities`. The mean over the
            networks is used.

    Returns:
        products, squares: (n,) float64, the sums of 2pp′ and of p² + p′² over the pixels of each
            image.
    """
    first, second = found.mean(1, dtype=np.float64)
    products, squares = 2 * first * second, first**2 + second**2
    return products.sum((1, 2)), squares.sum((1, 2))


def evenness(models: Sequence[Model], image: np.ndarray, side: int) -> float:
    """Return how far the probabilities of an image agree with those without its smooth part.

    Where the agreement is low, the networks see the background rather than the particles. The
    smooth part is a Gaussian blur, and the rest has the mean and the variance of the image.

    Args:
        image: (height, width) float32, the normalised image.
        side: Side of a training image [pixels], from which the width of the blur follows.

    Returns:
        The soft Dice of both, see :func:`symmetry`; 1 if both have no particle.
    """
    from scipy import ndimage

    divisor = models[0].divisor
    padded = np.pad(image, [(0, -n % divisor) for n in image.shape], "symmetric")
    rest = padded - ndimage.gaussian_filter(padded, SMOOTH * side, mode="nearest")
    rest *= padded.std() / max(float(rest.std()), 1e-12)
    rest += padded.mean() - rest.mean()
    both = np.stack([padded, rest])[:, None].astype(np.float32, copy=False)
    found = np.mean([model.probability(both) for model in models], 0, dtype=np.float64)
    first, second = found[:, : image.shape[0], : image.shape[1]]
    return float(ratio(2 * (first * second).sum(), (first**2 + second**2).sum()))


def ratio(products: np.ndarray | float, squares: np.ndarray | float) -> np.ndarray:
    """Return an agreement from its two sums; 1 if no pixel has a probability above 0."""
    return np.where(np.asarray(squares) > 1e-9, products / np.maximum(squares, 1e-9), 1.0)


def windowed_dice(probability: np.ndarray, side: int) -> float:
    """Return the Dice that a network expects by its own probabilities, from 0 to 1.

    If the probabilities p are right, a pixel is in a particle with the probability p. The expected
    Dice is the soft Dice 2 Σ p ŷ / (Σ p + Σ ŷ), where ŷ is 1 in the predicted pixels and otherwise
    0. It is 0 if no pixel is predicted. In a wide image with few particles, the small probabilities
    of the background would add up. So the result is a mean over windows as large as a training
    image. They overlap by half or more, and their weights are the squared numbers of predicted
    pixels, so that windows with whole particles count most.

    Args:
        probability: (height, width).
        side: Side of a training image [pixels]. An image that is not wider is one window.
    """
    predicted = probability > 0.5
    tall, wide = (min(side, n) for n in probability.shape)
    rows, columns = (
        np.linspace(0, n - size, -(-2 * (n - size) // size) + 1).astype(int)
        for n, size in zip(probability.shape, (tall, wide), strict=True)
    )

    def sums(values: np.ndarray) -> np.ndarray:
        """Return the sum over each window, from sums over all rectangles from the first pixel."""
        total = np.zeros((values.shape[0] + 1, values.shape[1] + 1))
        total[1:, 1:] = values.cumsum(0, dtype=np.float64).cumsum(1)
        below = total[rows + tall]
        above = total[rows]
        right = columns + wide
        return below[:, right] - below[:, columns] - above[:, right] + above[:, columns]

    hits = sums(probability * predicted)
    both = sums(probability)
    number = sums(predicted)
    if not number.any():
        return 0.0
    dice = 2 * hits / np.maximum(both + number, 1e-12)
    weight = number**2
    return float((weight * dice).sum() / weight.sum())


def sureness(probabilities: Sequence[np.ndarray], side: int) -> dict[str, float]:
    """Return `confidence`, `agreement` and `area` of an image from the networks' probabilities.

    Args:
        probabilities: Each (height, width).
        side: See :func:`windowed_dice`, which is the confidence.
    """
    if len(probabilities) == 1:
        mean, agreement = probabilities[0], 1.0
    else:
        stacked = np.stack(probabilities)
        mean = stacked.mean(0)
        agreement = agreement_of(mean, stacked.std(0, ddof=1), len(probabilities))
    area = np.count_nonzero(mean > 0.5) / mean.size
    return {"confidence": windowed_dice(mean, side), "agreement": agreement, "area": area}
