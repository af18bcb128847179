"""Particles that touch in projection: a particle is moved against another one until it stops."""

import numpy as np
from scipy.spatial import cKDTree

#: Atoms of two particles are at least this part of the nearest-neighbour distance apart. Where two
#: touch, the distance is the whole one; rounding, and a third particle, may make it a little less.
CLEARANCE = 0.95
#: Two bodies meet in bins of this width across their way [Å].
BIN_A = 0.25


def distance(xy: np.ndarray, other: np.ndarray, field: float) -> float:
    """Return the smallest distance of two particles' projected atoms in the periodic field [Å].

    Args:
        xy, other: (atoms, 2) [Å].
        field: The side of the field [Å].
    """
    tree = cKDTree(other % field, boxsize=field)
    return float(tree.query(xy % field)[0].min())


def slide(body: np.ndarray, other: np.ndarray, near: float, angle: float) -> np.ndarray:
    """Return the centre at which a body just touches another one, (2,) [Å].

    It comes from the direction `angle` and aims at the centre of the other one.

    Args:
        body: (atoms, 2), relative to the body's centre [Å].
        other: (atoms, 2), where the other one is [Å].
        near: The smallest distance of their atoms then [Å].
        angle: In the plane of the image [rad].
    """
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    aim = other.mean(0) @ across
    rear, beside = _foremost(-(body @ along), body @ across + aim)
    front, abreast = _foremost(other @ along, other @ across)
    gap = near**2 - (beside[:, None] - abreast) ** 2
    reach = np.where(gap > 0, front + rear[:, None] + np.sqrt(np.maximum(gap, 0)), -np.inf)
    return reach.max() * along + aim * across


def _foremost(ahead: np.ndarray, beside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the foremost atom of each bin of the width, since no other can touch first."""
    order = np.argsort(-ahead, kind="stable")
    _, first = np.unique(np.rint(beside[order] / BIN_A), return_index=True)
    chosen = order[first]
    return ahead[chosen], beside[chosen]
