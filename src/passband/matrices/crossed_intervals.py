"""Intervals of means over crossed samples, which are replicas of networks and test images.

An interval is for the mean that other replicas and other images of the same kind would give. Dice
is y(r, s) = μ + a(r) + b(s) + e(r, s), and the variance of its mean over R replicas and S images is
var(a)/R + var(b)/S + var(e)/(RS). The variance over replicas of means over images, divided by R,
and the variance over images of means over replicas, divided by S, both contain var(e)/(RS), so that
their sum is at least this variance. The interval has the quantiles of Student's t with
Satterthwaite's (1946) degrees of freedom. Few replicas say little about their own variance, so all
conditions of a study share what they know, see :func:`moderated`.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import digamma, stdtrit, zeta

#: A variance of Dice below this is rounding.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Share:
    """A share of the variance of a mean, NaN where it is unknown, and its degrees of freedom."""

    variance: np.ndarray
    freedom: np.ndarray

    def __truediv__(self, number: np.ndarray) -> "Share":
        return Share(self.variance / number, self.freedom)


def variance(samples: np.ndarray, axis: int = -1) -> np.ndarray:
    """Return the variance along an axis with ddof = 1; NaN with one sample."""
    if samples.shape[axis] > 1:
        return samples.var(axis, ddof=1)
    return np.full_like(samples.take(0, axis), np.nan)


def of_mean(samples: np.ndarray) -> Share:
    """Return the variance of the mean of samples (..., number)."""
    number = samples.shape[-1]
    return Share(variance(samples) / number, np.array(number - 1.0))


def jackknife(without: np.ndarray) -> Share:
    """Return the variance of a statistic from its values without each sample, (number,)."""
    number = len(without)
    return of_mean((number - 1) * without) if number > 1 else Share(np.array(np.nan), np.array(0.0))


def moderated(
    found: np.ndarray,
    freedom: np.ndarray,
    level: np.ndarray,
    among: np.ndarray | bool = True,
) -> Share:
    """Return variances over replicas that are moderated by those of all conditions.

    This is the empirical Bayes estimate of limma (Smyth 2004): the variance that a cell's level of
    Dice leads to expect has d₀ degrees of freedom, and is averaged with the cell's own. Expected is
    a straight line for the logarithm, as in limma's trend, and scaled such that the mean of all
    variances is right. So intervals tend to be too wide, where limma's geometric mean would make
    them too narrow for networks that now and then fail. d₀ follows from the scatter about the line
    and from its standard error, and is at most the number of degrees of freedom of the other
    networks.

    Args:
        found: (row, ...), variance over the replicas of each cell. NaN is unknown. Cells of
            different rows have different networks.
        freedom: Number of replicas minus 1, of a shape that can be broadcast to that of `found`.
            Where this is 0, the result is what the other cells lead to expect.
        level: (row, ...), mean of each cell.
        among: bool, which cells say what is expected, of a shape that can be broadcast.

    Returns:
        The variance of one replica. It is NaN if no cell has two replicas.
    """
    own = np.broadcast_to(freedom, found.shape).astype(float)
    known = np.isfinite(found) & (own > 0)
    own = np.where(known, own, 0.0)
    used = known & (found > _ROUNDING) & among
    if not used.any():
        return Share(np.where(known, found, np.nan), own)
    half = own[used] / 2
    scatter = np.log(found[used]) - digamma(half) + np.log(half)
    different = int(used.sum(0).max())
    power = min(1, (different - 1) // 4)
    middle = level[used].mean()
    width = np.ptp(level[used]) or 1.0
    # Beyond the other cells, the line may be anywhere.
    x = (np.clip(level, level[used].min(), level[used].max()) - middle) / width
    terms = x[..., None] ** np.arange(power + 1)
    fit = np.linalg.pinv(terms[used].T @ terms[used])
    expected = terms @ (fit @ (terms[used].T @ scatter))
    alone = zeta(2, half).mean()  # what estimates of one true variance scatter by: trigamma
    cells = len(scatter) / different  # cells of the same networks tell the same
    freedom_left = len(scatter) * (1 - (power + 1) / different)
    whole = ((scatter - expected[used]) ** 2).sum() / freedom_left if freedom_left else alone
    expected = np.exp(expected)
    expected *= (found[used] / expected[used]).mean()
    error = cells * np.einsum("...i,ij,...j", terms, fit, terms) * max(whole, alone)
    prior = 2 * _inverse_trigamma(max(whole - alone, 0.0) + error)
    others = np.maximum((own * among).sum(0).max() - own, 0)
    together = np.minimum(prior, others) + own
    own_share = np.where(known, own / together * (np.where(known, found, 0) - expected), 0)
    return Share(expected + own_share, together)


def _inverse_trigamma(values: np.ndarray) -> np.ndarray:
    """Return the numbers whose trigamma is `values`, by Newton's method (Smyth 2004, appendix)."""
    x = 0.5 + 1 / values
    for _ in range(8):
        trigamma = zeta(2, x)
        x = x + trigamma * (1 - trigamma / values) / (-2 * zeta(3, x))
    return x


def half_width(confidence: float, *shares: Share) -> np.ndarray:
    """Return half the width of the interval of a mean, from the shares of its variance.

    Unknown shares are left out: an interval without the share of the replicas is for other images,
    and the same networks. It is NaN if all shares are unknown.
    """
    variances = np.broadcast_arrays(*(np.asarray(share.variance, dtype=float) for share in shares))
    known = np.isfinite(variances)
    total = np.where(known, variances, 0).sum(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        of_freedom = [
            np.where(np.isfinite(v), v**2 / share.freedom, 0)
            for v, share in zip(variances, shares, strict=True)
        ]
        freedom = total**2 / sum(of_freedom)
    quantile = stdtrit(np.where(total > 0, freedom, 1.0), (1 + confidence) / 2)
    return np.where(known.any(0), quantile * np.sqrt(total), np.nan)
