"""Masks of discs."""

import numpy as np


def discs(shape, *given):
    """Return a mask of discs, each with row and column of its centre, and its radius [pixels]."""
    y, x = np.indices(shape)
    mask = np.zeros(shape, bool)
    for row, column, radius in given:
        mask |= np.hypot(y - row, x - column) <= radius
    return mask
