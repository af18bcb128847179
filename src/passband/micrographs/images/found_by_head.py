"""Particles that the head of networks finds, on the pixels of an image."""

from math import ceil, pi

import numpy as np
from scipy import ndimage
from scipy.special import logit

from passband.learning.heads.found import Found, Head
from passband.micrographs.images import particles

#: The smallest distance of a probability from 0 and 1, so that its logit is finite.
_CERTAIN = 1e-6

#: Standard deviation of the Gaussian that smooths the borders between particles [pixels of the
#: network].
SMOOTHING_PX = 3.0


def found(
    head: Head,
    seen: np.ndarray,
    probability: np.ndarray,
    network_nm: float,
    pixel_nm: float,
    smallest_nm: float,
) -> Found:
    """Return the particles of an image.

    The head finds them in the pixels of the network, where each is made one piece with smooth
    borders. They are cut by the mask in the pixels of the image. A pixel of the mask that the head
    gives to no particle is the nearest one's of its region. A region in which the head finds none
    is divided by :func:`passband.micrographs.images.particles.instances`.

    Args:
        seen: (1 + outputs of the head, rows, columns), the probability and the further outputs.
        probability: (height, width), the probability in the pixels of the image.
        network_nm, pixel_nm: The pixel sizes of network and image [nm].
        smallest_nm: Particles whose pixels have a smaller equivalent diameter are removed [nm].

    Returns:
        The particles. The diameter of one that the head does not find is NaN, and its certainty 0.
    """
    scale = network_nm / pixel_nm
    p = np.clip(seen[:1], _CERTAIN, 1 - _CERTAIN)
    decoded = head.decode(np.concatenate([logit(p), seen[1:]]), network_nm)
    labels = _nearest(_tidied(decoded.labels), probability.shape, scale)
    labels[probability <= 0.5] = 0
    missed = _complete(labels, probability, pixel_nm, smallest_nm)
    areas = np.bincount(labels.ravel(), minlength=len(decoded.certainty) + missed + 1)
    kept = areas >= max(pi / 4 * (smallest_nm / pixel_nm) ** 2, 1)
    kept[0] = False
    return Found(
        labels=(np.cumsum(kept) * kept).astype(np.int32)[labels],
        diameters_nm=np.append(decoded.diameters_nm, np.full(missed, np.nan))[kept[1:]],
        certainty=np.append(decoded.certainty, np.zeros(missed))[kept[1:]],
    )


def _tidied(labels: np.ndarray) -> np.ndarray:
    """Return labels with smooth borders, of which each has only its largest piece.

    A pixel goes to the particle that has most of its surroundings. Votes are not alike in
    neighbouring pixels, so a border between particles is ragged, and some pixels are islands.
    """
    most = np.zeros(labels.shape, np.float32)
    smooth = np.zeros_like(labels)
    places = ndimage.find_objects(labels)
    margin = ceil(2 * SMOOTHING_PX)
    for label, place in enumerate(places, 1):
        if place is None:
            continue
        wide = tuple(slice(max(side.start - margin, 0), side.stop + margin) for side in place)
        inside = (labels[wide] == label).astype(np.float32)
        share = ndimage.gaussian_filter(inside, SMOOTHING_PX, mode="constant", truncate=2)
        more = share > most[wide]
        most[wide][more] = share[more]
        smooth[wide][more] = label
    smooth[labels == 0] = 0
    for label, place in enumerate(ndimage.find_objects(smooth), 1):
        if place is None:
            continue
        pieces, number = ndimage.label(smooth[place] == label, np.ones((3, 3)))
        if number > 1:
            largest = np.bincount(pieces[pieces > 0]).argmax()
            smooth[place][(pieces > 0) & (pieces != largest)] = 0
    return smooth


def _nearest(labels: np.ndarray, shape: tuple[int, int], scale: float) -> np.ndarray:
    """Return the labels in the pixels of the image: each has that of the network's pixel there."""
    rows, columns = (
        np.minimum(((np.arange(length) + 0.5) / scale).astype(int), number - 1)
        for length, number in zip(shape, labels.shape, strict=True)
    )
    return labels[np.ix_(rows, columns)]


def _complete(
    labels: np.ndarray, probability: np.ndarray, pixel_nm: float, smallest_nm: float
) -> int:
    """Give the pixels of a mask without a label to particles; return the number of new ones."""
    regions, _ = ndimage.label(probability > 0.5, np.ones((3, 3)))
    before = number = int(labels.max(initial=0))
    for index, place in enumerate(ndimage.find_objects(regions), 1):
        place = particles.around(place)
        region = regions[place] == index
        own = labels[place]
        missing = region & (own == 0)
        if not missing.any():
            continue
        if not missing[region].all():
            without = np.where(region, own, 0) == 0
            nearest = ndimage.distance_transform_edt(
                without, return_distances=False, return_indices=True
            )
            own[missing] = own[tuple(nearest)][missing]
            continue
        new = particles.instances(np.where(region, probability[place], 0), pixel_nm, smallest_nm)
        own[new > 0] = number + new[new > 0]
        number += int(new.max())
    return number - before
