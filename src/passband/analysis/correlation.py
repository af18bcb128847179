"""Spearman's rank correlation, computed from values or from sums of ranks."""

import numpy as np


def centred(
    products: np.ndarray, x: np.ndarray, y: np.ndarray, n: np.ndarray | float
) -> np.ndarray:
    """Return Σ(x − x̄)(y − ȳ) from Σxy, Σx, Σy and the number of points n.

    If means are given instead of the sums Σxy, Σx and Σy, use n = 1.
    """
    return products - x * y / n


def correlation(xy: np.ndarray, xx: np.ndarray, yy: np.ndarray) -> np.ndarray:
    """Return the correlation of x and y from centred sums of products; NaN if one is constant."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return xy / np.sqrt(xx * yy)


def rank_correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Return Spearman's rank correlation of x and y, (points,); NaN if x or y is constant."""
    from scipy.stats import rankdata

    if not len(x):
        return float("nan")
    a, b = (rank - rank.mean() for rank in (rankdata(x), rankdata(y)))
    return float(correlation(a @ b, a @ a, b @ b))
