"""How found particles agree with the true ones of a simulated image, as numbers of particles.

Particles on opposite faces of the substrate may overlap in projection, so that there are two
truths. ``faces`` has the complete particles of both faces. ``visible`` has one label for each
pixel, as a file has: where two particles lie over each other, the one on the face where the beam
leaves wins.

The field of a simulated image is periodic and the image is not, so that a particle which leaves it
on one side and enters on the other is two pieces. Pieces that touch the edge have no known size:
they may be partners, but are not counted. Nor are those with an area below that of a disc of
:data:`SMALLEST_NM`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from passband.imaging.compiled import compiled
from passband.particle_scores import NUMBERS, TRUTHS

#: Pieces with a smaller equivalent diameter are left out [nm].
SMALLEST_NM = 0.5
#: Diameters are added as whole numbers of this part of a nanometre.
_PM_PER_NM = 1000


@dataclass(frozen=True, eq=False)
class _Pieces:
    """Pieces of label images, which are numbered through.

    Attributes:
        layers: (layers, height, width) int32: in each pixel of each layer 0, or a piece from 1 on.
        number: How many there are.
    """

    layers: np.ndarray
    number: int

    @classmethod
    def of(cls, layers: np.ndarray) -> Self:
        """Return the connected pieces of each label of each layer; corners connect."""
        pieces = np.zeros(layers.shape, np.int32)
        connect = compiled(_connect, "i4(i4[:,::1], i4[:,::1], i4)")
        number = 0
        for labels, found in zip(layers, pieces, strict=True):
            number = connect(np.ascontiguousarray(labels, np.int32), found, number)
        return cls(pieces, number)

    @cached_property
    def areas(self) -> np.ndarray:
        """The number of pixels of each piece, (number + 1,); 0 is the background."""
        return np.bincount(self.layers.ravel(), minlength=self.number + 1)

    def areas_in(self, chosen: np.ndarray) -> np.ndarray:
        """Return :attr:`areas` among chosen pixels, (layers, height, width) bool."""
        return np.bincount(self.layers[chosen], minlength=self.number + 1)

    @cached_property
    def touches_edge(self) -> np.ndarray:
        """Whether each piece has a pixel at the edge, (number + 1,) bool."""
        return _at_edge(self.layers, self.number)


@dataclass(frozen=True, eq=False)
class Truth:
    """The true particles of an image, by one of :data:`passband.particle_scores.TRUTHS`.

    Attributes:
        pieces: The particles.
        pixel_nm: The size of a pixel [nm].
        counts: Which are counted, (number + 1,) bool.
        overlapped: Which have a pixel over or under another particle, (number + 1,) bool.
        hidden, cut: Numbers of those that are not counted.
        is_complete: Whether particles are there with what is hidden of them.
    """

    pieces: _Pieces
    pixel_nm: float
    counts: np.ndarray
    overlapped: np.ndarray
    hidden: int
    cut: int
    is_complete: bool

    @classmethod
    def of(cls, instances: np.ndarray, pixel_nm: float) -> "dict[str, Truth]":
        """Return the truths of an image by their names.

        Args:
            instances: (2, height, width) integer, the labels of both faces, those of the face where
                the beam leaves first, see :func:`passband.specimens.masks.instances`.
        """
        least = np.pi / 4 * (SMALLEST_NM / pixel_nm) ** 2
        both = (instances > 0).all(0)
        shown = np.ones(instances.shape, bool)
        shown[1] = ~both
        faces = _Pieces.of(instances)
        is_large = faces.areas >= least
        is_seen = faces.areas_in(shown) >= least
        whole = ~faces.touches_edge
        hidden = np.count_nonzero((is_large & ~is_seen & whole)[1:])
        seen = _Pieces.of(visible(instances)[None])
        is_piece = seen.areas >= least
        return {
            "faces": cls(
                pieces=faces,
                pixel_nm=pixel_nm,
                counts=is_seen & whole,
                overlapped=faces.areas_in(np.broadcast_to(both, instances.shape)) > 0,
                hidden=hidden,
                cut=np.count_nonzero((is_seen & ~whole)[1:]),
                is_complete=True,
            ),
            "visible": cls(
                pieces=seen,
                pixel_nm=pixel_nm,
                counts=is_piece & ~seen.touches_edge,
                overlapped=np.zeros(seen.number + 1, bool),
                hidden=hidden,
                cut=np.count_nonzero((is_piece & seen.touches_edge)[1:]),
                is_complete=False,
            ),
        }

    def numbers(self, labels: np.ndarray, diameters_nm: np.ndarray | None = None) -> np.ndarray:
        """Return how found particles agree with the true ones, (numbers,) int64.

        The numbers are those of :data:`passband.particle_scores.NUMBERS`.

        A true and a found particle are partners if their intersection over union is above ½; a
        particle has at most one partner. A true one is merged if more than half of it is in a found
        one that has more than half of another true one, too. It is split if several found ones, of
        each of which more than half is in it, cover half of it.

        Args:
            labels: (height, width) integer, the found particles, 0 in the background.
            diameters_nm: The diameters of the labels 1, 2, … with what is hidden of them. Without
                them, sizes are those of pixels. True particles that overlap another one then have
                none, nor have found ones that are mostly in such particles.
        """
        number = int(labels.max(initial=0)) if diameters_nm is None else len(diameters_nm)
        joint = self.joint(labels, number)
        found_area = np.bincount(labels.ravel(), minlength=number + 1)[1:]
        true_area = self.pieces.areas[1:]
        counts = self.counts[1:]
        whole = (found_area > 0) & ~_at_edge(labels[None], number)[1:]
        partner = _partners(joint, found_area, true_area, counts)
        has_partner = np.isin(np.arange(len(counts)), partner)
        # The outline of a particle near the edge may touch it by a pixel, and the true one not: a
        # pair counts if the true one does.
        found = np.where(partner < 0, whole, counts[partner] if len(counts) else False)
        rest = counts & ~has_partner

        most_of_true = 2 * joint > true_area
        most_of_found = 2 * joint > found_area[:, None]
        is_merged = rest & (most_of_true & (most_of_true.sum(1) > 1)[:, None]).any(0)
        several = most_of_found.sum(0) > 1
        is_covered = 2 * (joint * most_of_found).sum(0) >= true_area
        is_split = rest & ~is_merged & several & is_covered
        background = _pixels(labels, ~self._is_particle, number)

        if diameters_nm is None or not self.is_complete:
            found_nm = _diameters(found_area, self.pixel_nm)
            alone = ~self.overlapped[1:]
            overlapped = _pixels(labels, self._is_overlapped, number)
            found_sized = found & whole & (2 * overlapped <= found_area)
        else:
            found_nm = np.asarray(diameters_nm, float)
            alone = np.ones_like(counts)
            found_sized = found & whole
        true_sized = counts & alone
        values = {
            "true": counts,
            "matched": counts & has_partner,
            "merged": is_merged,
            "split": is_split,
            "found": found,
            "false": found & (2 * background > found_area),
            "true_sized": true_sized,
            "found_sized": found_sized,
        }
        numbers = {name: np.count_nonzero(which) for name, which in values.items()}
        numbers |= {"hidden": self.hidden, "cut": self.cut}
        numbers["true_pm"] = _sum_pm(_diameters(true_area, self.pixel_nm)[true_sized])
        numbers["found_pm"] = _sum_pm(found_nm[found_sized])
        return np.array([numbers[name] for name in NUMBERS])

    @cached_property
    def _is_particle(self) -> np.ndarray:
        """Whether a pixel is in a particle, (height, width) bool."""
        return (self.pieces.layers > 0).any(0)

    @cached_property
    def _is_overlapped(self) -> np.ndarray:
        """Whether a pixel is in a particle that overlaps another one, (height, width) bool."""
        return self.overlapped[self.pieces.layers].any(0)

    def joint(self, labels: np.ndarray, number: int) -> np.ndarray:
        """Return the pixels that a found and a true particle have in common, (found, true).

        Args:
            number: That of the found particles, whose labels are 1, 2, …
        """
        columns = self.pieces.number + 1
        size = (number + 1) * columns
        rows = labels.astype(np.int64) * columns
        joint = sum(
            np.bincount((rows + layer).ravel(), minlength=size) for layer in self.pieces.layers
        )
        return joint.reshape(number + 1, columns)[1:, 1:]


def count(
    truths: Mapping[str, Truth], labels: np.ndarray, diameters_nm: np.ndarray | None = None
) -> np.ndarray:
    """Return the numbers of an image by both truths, (2, numbers) int64.

    The parameters are those of :meth:`Truth.numbers`.
    """
    return np.stack([truths[name].numbers(labels, diameters_nm) for name in TRUTHS])


def visible(instances: np.ndarray) -> np.ndarray:
    """Return one label for each pixel, (height, width): of the face where the beam leaves, if any.

    Args:
        instances: (2, height, width), see :meth:`Truth.of`.
    """
    leaving, entering = instances
    return np.where(leaving > 0, leaving, entering)


def _partners(
    joint: np.ndarray, found_area: np.ndarray, true_area: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """Return the true partner of each found particle, (found,); −1 without one.

    No pixel is in two found particles, so a true one has a high intersection over union with one of
    them at most. A found one may have it with a particle on each face: then the higher one is the
    partner, and of equal ones that which is counted.
    """
    over = joint / np.maximum(found_area[:, None] + true_area - joint, 1)
    high = np.where(over > 0.5, over + 1e-12 * counts, 0)
    if not high.any():
        return np.full(len(found_area), -1)
    return np.where(high.any(1), high.argmax(1), -1)


def _pixels(labels: np.ndarray, chosen: np.ndarray, number: int) -> np.ndarray:
    """Return the number of chosen pixels of each found particle, (found,)."""
    return np.bincount(labels[chosen], minlength=number + 1)[1:]


def _at_edge(layers: np.ndarray, number: int) -> np.ndarray:
    """Return which labels touch the edge of an image, (number + 1,) bool."""
    sides = layers[:, 0], layers[:, -1], layers[:, :, 0], layers[:, :, -1]
    touches = np.zeros(number + 1, bool)
    touches[np.concatenate([side.ravel() for side in sides])] = True
    return touches


def _diameters(areas: np.ndarray, pixel_nm: float) -> np.ndarray:
    """Return the diameters of discs of these numbers of pixels [nm]."""
    return 2 * np.sqrt(areas / np.pi) * pixel_nm


def _sum_pm(diameters_nm: np.ndarray) -> int:
    """Return a sum of diameters [0.001 nm]; each is rounded, so that no order matters."""
    return int(np.rint(diameters_nm * _PM_PER_NM).sum())


def _connect(labels, pieces, number):
    """Number the connected pixels of equal labels, from `number` + 1 on; return the last number."""
    height, width = labels.shape
    waiting = np.empty(height * width, np.int64)
    for first in range(height * width):
        label = labels[first // width, first % width]
        if label == 0 or pieces[first // width, first % width]:
            continue
        number += 1
        pieces[first // width, first % width] = number
        waiting[0] = first
        length = 1
        while length:
            length -= 1
            y = waiting[length] // width
            x = waiting[length] % width
            for i in range(max(y - 1, 0), min(y + 2, height)):
                for j in range(max(x - 1, 0), min(x + 2, width)):
                    if labels[i, j] == label and pieces[i, j] == 0:
                        pieces[i, j] = number
                        waiting[length] = i * width + j
                        length += 1
    return number
