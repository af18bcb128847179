"""How often the 95% intervals of `ood` contain the mean over other networks and other images.

    python -m findings.interval_coverage.interval_coverage          # the twelve thousand, 20 s
    python -m findings.interval_coverage.interval_coverage --quick  # a drawn table

The metric is the mean Dice of each training condition under all test conditions. Each condition of
the table has its own mean, and its own variances of replicas, images and both together, which are
estimated from all replicas and images. The first table is a simulation with these as the truth:
effects of replicas and images have gamma distributions with the skewness `--skewness`, which is by
default that of the twelve thousand networks, and the effects of both together are normal. With one
replica, every other condition has two, from which the study's variance is known, and only the
conditions with one are counted. With `1 everywhere`, nothing says how networks differ, so intervals
are for the same networks and other images. `bootstrap` is the percentile interval over replicas and
images of earlier versions. The noisiest tenth are the conditions with the largest variance over
replicas. Widths are relative to intervals that know the variances, mean over conditions.

The second table has real draws: a few of the replicas and half of the images, and how often the
interval contains the mean of the other replicas under the other images. Both means have errors, so
each part of the variance is multiplied by 1 + number drawn / number left.
"""

import argparse
import itertools
from collections.abc import Iterator

import numpy as np
from scipy.special import polygamma

from findings.twelve_thousand import packed
from passband.analysis.bootstrap import percentile_interval
from passband.matrices.crossed_intervals import Share, half_width, moderated, of_mean, variance
from passband.reports import markdown

CONFIDENCE = 0.95
#: The numbers of replicas of the conditions, by the words for a row: of those that are counted, and
#: of every other condition.
REPLICAS = {"1 everywhere": (1, 1), "1": (1, 2), "2": (2, 2), "7": (7, 7)}
#: Numbers of images of the simulated studies.
IMAGES = (8, 48)
SIMULATED = ("images", "replicas", "bootstrap", "interval", "in the noisiest tenth", "width")
REAL = ("metric", "replicas", "images", "of the rest covered")
#: The skewness of the effects of replicas and of images in the twelve thousand networks.
SKEWNESS = (-0.7, 0.25)
SEED = 28


def drawn(random: np.random.Generator) -> np.ndarray:
    """Return Dice (train, replica, test, image) of a small study in which networks differ."""
    noise = random.gamma(2, 0.01, (60, 1, 1, 1))
    replicas = noise * random.normal(size=(60, 7, 1, 1))
    images = 0.05 * random.normal(size=(1, 1, 6, 8)) + 0.02 * random.normal(size=(60, 1, 6, 8))
    return 0.9 - 5 * noise + replicas + images + 0.02 * random.normal(size=(60, 7, 6, 8))


def twelve_thousand() -> np.ndarray:
    """Return Dice (train, replica, test, image) of the twelve thousand networks, as float32."""
    parts = (matrix.images() for matrix in packed.pieces())
    return np.concatenate([part.astype(np.float32) for part in parts])


def intervals(Y: np.ndarray, there: np.ndarray, more: tuple[float, float] = (1.0, 1.0)):
    """Return means (condition,), and half the widths of their intervals.

    Args:
        Y: (condition, replica, image).
        there: (condition,), number of replicas of each condition, which are the first ones.
        more: What the variances of the means over replicas and images are multiplied by.
    """
    means, over_replicas, over_images = np.empty((3, len(Y)))
    for number in np.unique(there):
        rows = there == number
        part = Y[rows, :number]
        means[rows] = part.mean((1, 2))
        over_replicas[rows] = variance(part.mean(2))
        over_images[rows] = of_mean(part.mean(1)).variance
    replica = moderated(over_replicas, there - 1, means) / (there / more[0])
    image = Share(over_images * more[1], np.array(Y.shape[2] - 1.0))
    return means, half_width(CONFIDENCE, replica, image)


def bootstrap(Y: np.ndarray, random: np.random.Generator, draws: int) -> np.ndarray:
    """Return percentile intervals (condition, 2) of Y (condition, replica, image)."""
    replicas, images = Y.shape[1:]
    of_image = random.multinomial(images, np.full(images, 1 / images), draws) / images
    edges = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
    found = []
    for each in Y:
        of_replica = random.multinomial(replicas, np.full(replicas, 1 / replicas), draws) / replicas
        means = np.einsum("dr,rs,ds->d", of_replica, each, of_image, optimize=True)
        found.append(percentile_interval(means, edges))
    return np.array(found)


def scattered(found: np.ndarray, mean: np.ndarray, freedom: int) -> np.ndarray:
    """Return variances that scatter about their dependence on the mean as the true ones do.

    Variances that are estimated with few degrees of freedom scatter more. The logarithm of one that
    is known to be right would scatter by trigamma(freedom / 2) less.
    """
    logarithm = np.log(np.maximum(found, 1e-12))
    expected = np.polyval(np.polyfit(mean, logarithm, 2), mean)
    own = logarithm - expected
    share = max(0.0, 1 - polygamma(1, freedom / 2) / own.var())
    true = np.exp(expected + np.sqrt(share) * own)
    return true * found.mean() / true.mean()


def simulated(
    Y: np.ndarray, random: np.random.Generator, studies: int, skewness: tuple[float, float]
) -> Iterator[list[str]]:
    """Yield rows of the coverage in simulated studies, see :data:`SIMULATED`.

    Args:
        Y: (condition, replica, image), from which the variances are.
        studies: The number of studies for a row. The first one has the bootstrap.
        skewness: Of the effects of replicas, and of those of images.
    """
    R, S = Y.shape[1:]
    mean, a, b = Y.mean((1, 2)), Y.mean(2), Y.mean(1)
    rest = Y - a[:, :, None] - b[:, None] + mean[:, None, None]
    both = (rest**2).sum((1, 2)) / ((R - 1) * (S - 1))
    of_replica = np.maximum(scattered(a.var(1, ddof=1), mean, R - 1) - both / S, 0)
    of_image = np.maximum(b.var(1, ddof=1) - both / R, 0)
    noisiest = of_replica >= np.quantile(of_replica, 0.9)

    def effects(variances: np.ndarray, skewness: float, *sizes: int) -> np.ndarray:
        shape = (2 / skewness) ** 2
        gamma = (random.gamma(shape, size=(len(mean), *sizes)) - shape) / np.sqrt(shape)
        return np.sign(skewness) * gamma * np.sqrt(variances)[:, None, None]

    for images, (words, (replicas, others)) in itertools.product(IMAGES, REPLICAS.items()):
        there = np.full(len(mean), replicas)
        there[::2] = others
        counted = there == replicas
        covered = np.empty((studies, len(mean)), bool)
        widths = np.empty((studies, len(mean)))
        for study in range(studies):
            y = mean[:, None, None] + effects(of_replica, skewness[0], there.max(), 1)
            y = y + effects(of_image, skewness[1], 1, images)
            y += random.normal(size=y.shape) * np.sqrt(both)[:, None, None]
            means, half = intervals(y, there)
            covered[study] = abs(means - mean) <= half
            known = of_replica / there + of_image / images + both / (there * images)
            widths[study] = half / np.sqrt(known) / 1.96
            if study == 0:
                ends = bootstrap(y[counted, :replicas], random, 200)
                before = (ends[:, 0] <= mean[counted]) & (mean[counted] <= ends[:, 1])
        shares = before.mean(), covered[:, counted].mean(), covered[:, counted & noisiest].mean()
        text = [f"{share:.3f}" for share in shares]
        yield [f"{images}", words, *text, f"{widths[:, counted].mean():.2f}"]


def real(D: np.ndarray, random: np.random.Generator, draws: int) -> Iterator[list[str]]:
    """Yield rows of the coverage of real draws from D (train, replica, test, image)."""
    column = D.shape[2] // 2
    metrics = {"mean over all test conditions": D.mean(2, dtype=float)}
    metrics["one test condition"] = D[:, :, column].astype(float)
    for name, Y in metrics.items():
        R, S = Y.shape[1:]
        images = S // 2
        for replicas in (1, 2, 4):
            there = np.full(len(Y), replicas)
            there[::2] = max(replicas, 2)
            counted, covered = there == replicas, []
            for _ in range(draws):
                order = random.permuted(np.tile(np.arange(R), (len(Y), 1)), axis=1)
                y = np.take_along_axis(Y, order[:, :, None], 1)[:, :, random.permutation(S)]
                more = 1 + there / (R - there), 1 + images / (S - images)
                means, half = intervals(y[:, :, :images], there, more)
                rest = [each[n:, images:].mean() for each, n in zip(y, there, strict=True)]
                covered.append((abs(means - rest) <= half)[counted])
            yield [name, f"{replicas}", f"{images}", f"{np.mean(covered):.3f}"]


def tables(
    D: np.ndarray,
    random: np.random.Generator,
    *,
    studies: int = 10,
    draws: int = 40,
    skewness: tuple[float, float] = SKEWNESS,
) -> tuple[str, str]:
    """Return both tables, from Dice D (train, replica, test, image).

    Args:
        studies: Simulated studies for each row of the first table.
        draws: Real draws for each row of the second table.
    """
    first = markdown.table(SIMULATED, simulated(D.mean(2, dtype=float), random, studies, skewness))
    return first, markdown.table(REAL, real(D, random, draws))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="a drawn table")
    parser.add_argument("--studies", type=int, default=10, help="simulated studies a row")
    parser.add_argument("--draws", type=int, default=40, help="real draws a row")
    parser.add_argument(
        "--skewness", type=float, nargs=2, default=SKEWNESS, metavar=("REPLICAS", "IMAGES")
    )
    options = parser.parse_args()
    random = np.random.default_rng(SEED)
    D = drawn(random) if options.quick else twelve_thousand()
    both = tables(
        D,
        random,
        studies=options.studies,
        draws=options.draws,
        skewness=tuple(options.skewness),
    )
    print(*both, sep="\n\n")


if __name__ == "__main__":
    main()
