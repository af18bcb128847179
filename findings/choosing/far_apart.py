"""A rule that lost: networks that are far from each other."""

import numpy as np


def farthest_points(distance: np.ndarray, number: int) -> list[int]:
    """Return rows of a matrix of distances that are far from each other.

    The first chosen row is the most central row. Each further row is the row that is farthest from
    all rows chosen before it (Gonzalez 1985).
    """
    rows = [int(distance.mean(1).argmin())]
    while len(rows) < number:
        rows.append(int(distance[:, rows].min(1).argmax()))
    return rows
