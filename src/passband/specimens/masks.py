"""Ground truth of structures: instance masks of particles in projection. Lengths are in Å."""

from math import ceil

import numpy as np
from scipy.ndimage import distance_transform_edt

from passband.optics.sampling import Sampling
from passband.specimens.structures import FACES, Structure

#: Radius R of the morphological closing of a mask. The closing fills holes between projected
#: columns of atoms up to this radius [Å].
CLOSING_A = 3.0


def instances(structure: Structure, sampling: Sampling) -> np.ndarray:
    """Return a label image of the particles in projection, for each face of the substrate.

    Let r be half the nearest-neighbour distance of the crystal, and R = :data:`CLOSING_A`. Discs of
    radius r around the projected atoms of a particle touch each other. The particle's mask is the
    morphological closing of these discs by a disc of radius R − r. The closing fills the holes
    between projected columns of atoms. In pixels, the region of all pixels within R of an atom's
    pixel is made first, and the pixels within R − r of this region's edge are removed. Distances
    are exact Euclidean distances. The field is periodic, and the substrate has no mask. The mask of
    a particle does not depend on the other particles.

    Particles on opposite faces of the substrate may overlap in projection, so that each face has
    its own label image. Between particles on the same face there is a gap. If the gap is less than
    a pixel or two, a pixel that belongs to two particles gets the number of the later particle. The
    semantic mask, ``instances(…).any(0)``, has the pixels of all particles.

    Returns:
        (2, px, px) uint8, a label image for each face, in the order of :data:`FACES`. Each pixel is
        0, or the number of a particle in the array ``particle`` of the atoms. The second axis of
        the array is x; pixel i is at x = i × pixel size.
    """
    numbers, xy = structure.atoms.arrays["particle"], structure.atoms.positions[:, :2]
    labels = np.zeros((len(FACES), sampling.px, sampling.px), np.uint8)
    for number, face in enumerate(structure.faces, 1):
        rim = structure.material.neighbour_A / 2
        x, y, inside = _closing(xy[numbers == number], rim, sampling)
        labels[face, x[inside], y[inside]] = number
    return labels


def _closing(
    points: np.ndarray, rim: float, sampling: Sampling
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a window around a particle: x and y of its pixels, and which pixels are in the mask.

    The outline of the mask is at the distance `rim` from the outermost points [Å]. The window is as
    small as possible, since the time to make a mask is proportional to the window's number of
    pixels.
    """
    pixel, reach = sampling.pixel_A, max(CLOSING_A, rim)
    pad = ceil(reach / pixel) + 1  # so that the pixels at the border are beyond reach
    pixels = np.rint(points.T / pixel).astype(int) % sampling.px  # along both axes
    starts, places = zip(*(_unwrap(i, sampling.px) for i in pixels), strict=True)
    empty = np.ones([place.max() + 1 + 2 * pad for place in places], bool)
    empty[tuple(place + pad for place in places)] = False
    near = distance_transform_edt(empty) * pixel <= reach
    # The nearest pixel outside the region is half a pixel from the region's edge, on average.
    inside = (distance_transform_edt(near) - 0.5) * pixel > reach - rim
    x, y = (
        (start - pad + np.arange(size)) % sampling.px
        for start, size in zip(starts, empty.shape, strict=True)
    )
    return *np.broadcast_arrays(x[:, None], y), inside


def _unwrap(pixels: np.ndarray, px: int) -> tuple[int, np.ndarray]:
    """Return the first pixel after a periodic axis's widest gap, and the pixels from there."""
    taken = np.unique(pixels)
    widest = np.diff(taken, append=taken[0] + px).argmax()
    start = taken[(widest + 1) % len(taken)]
    return start, (pixels - start) % px
