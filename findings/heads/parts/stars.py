"""A head of star-convex outlines, which was tried against `votes`.

Each pixel says how far it is from the outline of its particle along 16 rays, as in StarDist
(Schmidt et al., MICCAI 2018). Outlines go on under other particles, and there is no probability of
an object beside that of the mask: the most central pixels propose stars first.
"""

import numba
import numpy as np
import torch
from torch import Tensor, nn

from passband.learning.heads.found import Found
from passband.parts import head

RAYS = 16
#: In what distances are measured [pixels].
SCALE_PX = 32.0
#: The outputs of every second pixel are used.
GRID = 2
#: The smallest area of a particle by which its pixels are weighed in the loss [pixels].
LEAST_PX = 80.0
#: Errors below this count by their squares in the loss, and those above by their size.
BETA = 0.05
#: The smallest ratio of opposite extremes of the rays of a pixel that proposes a star, times the
#: probability of the mask.
LEAST_CENTRAL = 0.1
#: Two stars are the same if their areas differ by less than this factor, and their centroids by
#: less than this part of the radius.
ALIKE = 5 / 3
NEAR = 0.4
#: The largest part of the smaller one of two stars that the other one covers.
MOST_COVERED = 0.35
#: How far outside the outline of a star a pixel can belong to it, in units of the ray.
OUTSIDE = 1.35
#: The smallest diameter of a particle [nm].
SMALLEST_NM = 0.5
_STEP = 2 * np.pi / RAYS


@head(outputs=16)
class stars:  # noqa: N801, the name of the part
    """Each pixel says how far the outline of its particle is in 16 directions."""

    def loss(self, further: Tensor, instances: Tensor) -> Tensor:
        """Return the mean error of all rays, in which each particle counts alike."""
        wanted, weights = targets(instances)
        given = further[..., ::GRID, ::GRID]
        error = nn.functional.smooth_l1_loss(given, wanted, reduction="none", beta=BETA)
        sums = (error.mean(2, keepdim=True) * weights).sum((1, 2, 3, 4))
        return sums / weights.sum((1, 2, 3, 4)).clamp_min(1e-6)

    def decode(self, logits: np.ndarray, pixel_nm: float) -> Found:
        """Return the particles: stars that do not cover each other, the most central ones first."""
        mask = logits[0] > 0
        rays = np.maximum(SCALE_PX * logits[1:, ::GRID, ::GRID], 0.5).astype(np.float64)
        central = rays.min(0) / rays.max(0) / (1 + np.exp(-logits[0, ::GRID, ::GRID]))
        rows, columns = np.nonzero(mask[::GRID, ::GRID] & (central > LEAST_CENTRAL))
        order = np.argsort(-central[rows, columns], kind="stable")
        rows, columns = rows[order], columns[order]
        places = GRID * np.stack([rows, columns], axis=1).astype(float)
        chosen, areas = _chosen(places, np.ascontiguousarray(rays[:, rows, columns].T))
        labels = _painted(places[chosen], rays[:, rows[chosen], columns[chosen]].T.copy(), mask)
        smallest_px = np.pi / 4 * (SMALLEST_NM / pixel_nm) ** 2
        large = np.bincount(labels.ravel(), minlength=len(chosen) + 1) >= smallest_px
        large[0] = False
        return Found(
            labels=(np.cumsum(large) * large).astype(np.int32)[labels],
            diameters_nm=2 * np.sqrt(areas / np.pi)[large[1:]] * pixel_nm,
            certainty=central[rows[chosen], columns[chosen]][large[1:]],
        )


def targets(instances: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rays of every second pixel (…, 16, h, w), and its weight (…, 1, h, w).

    Where particles on both faces overlap, a pixel belongs to the smaller one, as in `votes`.
    """
    shape = instances.shape
    labels = instances.reshape(-1, *shape[-3:]).to("cpu", torch.int32).numpy()
    found = np.zeros((len(labels), RAYS + 1, *(-(-side // GRID) for side in shape[-2:])))
    _fill(labels, found)
    every = torch.from_numpy(found.astype(np.float32)).to(instances.device)
    wanted, weights = every.split([RAYS, 1], dim=1)
    return wanted.reshape(*shape[:-3], *wanted.shape[1:]), weights.reshape(
        *shape[:-3], *weights.shape[1:]
    )


@numba.njit(cache=True)
def _fill(labels, out):
    """Write the rays and the weight of each second pixel of a particle into zeros."""
    images, faces, height, width = labels.shape
    sines = np.sin(_STEP * np.arange(RAYS))
    cosines = np.cos(_STEP * np.arange(RAYS))
    for n in range(images):
        areas = np.zeros((faces, labels[n].max() + 1))
        for f in range(faces):
            for i in range(height):
                for j in range(width):
                    areas[f, labels[n, f, i, j]] += 1
        for i in range(0, height, GRID):
            for j in range(0, width, GRID):
                face = -1
                for f in range(faces):
                    own = labels[n, f, i, j]
                    if own and (face < 0 or areas[f, own] < areas[face, labels[n, face, i, j]]):
                        face = f
                if face < 0:
                    continue
                own = labels[n, face, i, j]
                out[n, RAYS, i // GRID, j // GRID] = 1 / max(areas[face, own], LEAST_PX)
                for k in range(RAYS):
                    length = 0
                    inside = True
                    while inside:
                        length += 1
                        row = int(np.rint(i + length * sines[k]))
                        column = int(np.rint(j + length * cosines[k]))
                        inside = 0 <= row < height and 0 <= column < width
                        inside = inside and labels[n, face, row, column] == own
                    out[n, k, i // GRID, j // GRID] = (length - 0.5) / SCALE_PX


@numba.njit(cache=True)
def _within(row, column, rays):
    """Return how far a place about the centre of a star is, in units of the ray to it.

    Rays are linear in the angle between those that are known.
    """
    away = np.hypot(row, column)
    if away == 0:
        return 0.0
    turn = np.arctan2(row, column) / _STEP
    k = int(np.floor(turn))
    part = turn - k
    return away / (rays[k % RAYS] * (1 - part) + rays[(k + 1) % RAYS] * part)


@numba.njit(cache=True)
def _shape(rays):
    """Return the area of a star, and its centroid about its centre."""
    area = row = column = 0.0
    for k in range(RAYS):
        after = rays[(k + 1) % RAYS]
        area += _STEP / 6 * (rays[k] ** 2 + rays[k] * after + after**2)
        row += _STEP / 3 * rays[k] ** 3 * np.sin(k * _STEP)
        column += _STEP / 3 * rays[k] ** 3 * np.cos(k * _STEP)
    return area, row / area, column / area


@numba.njit(cache=True)
def _covered(place, rays, other, others_rays):
    """Return the part of a star that another one covers, from points on a grid."""
    far = rays.max()
    count = hit = 0
    for v in np.linspace(-far, far, 17):
        for u in np.linspace(-far, far, 17):
            if _within(v, u, rays) <= 1:
                count += 1
                row = place[0] + v - other[0]
                column = place[1] + u - other[1]
                hit += _within(row, column, others_rays) <= 1
    return hit / max(count, 1)


@numba.njit(cache=True)
def _chosen(places, rays):
    """Return the proposed stars that are kept, earlier ones first, and their areas."""
    number = len(places)
    chosen = np.empty(number, np.int64)
    areas = np.empty(number)
    middles = np.empty((number, 2))
    kept = 0
    far = np.empty(number)
    for c in range(number):
        far[c] = rays[c].max()
        area, row, column = _shape(rays[c])
        row += places[c, 0]
        column += places[c, 1]
        is_new = True
        for m in range(kept):  # most are the same star, seen from another pixel
            ratio = area / areas[m]
            away = (row - middles[m, 0]) ** 2 + (column - middles[m, 1]) ** 2
            if 1 / ALIKE < ratio < ALIKE and away < NEAR**2 * areas[m] / np.pi:
                is_new = False
                break
        for m in range(kept):
            if not is_new:
                break
            between = places[c] - places[chosen[m]]
            if np.hypot(between[0], between[1]) > far[c] + far[chosen[m]]:
                continue
            small, large = (c, chosen[m]) if area <= areas[m] else (chosen[m], c)
            covered = _covered(places[small], rays[small], places[large], rays[large])
            is_new = covered <= MOST_COVERED
        if is_new:
            chosen[kept] = c
            areas[kept] = area
            middles[kept] = row, column
            kept += 1
    return chosen[:kept], areas[:kept]


@numba.njit(cache=True)
def _painted(places, rays, mask):
    """Return the star that is nearest to each pixel of the mask, in units of its ray."""
    height, width = mask.shape
    labels = np.zeros((height, width), np.int32)
    for i in range(height):
        for j in range(width):
            nearest = OUTSIDE
            if not mask[i, j]:
                continue
            for m in range(len(places)):
                away = _within(i - places[m, 0], j - places[m, 1], rays[m])
                if away < nearest:
                    nearest = away
                    labels[i, j] = m + 1
    return labels
