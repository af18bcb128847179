"""The head that lets each pixel vote for the centre of its particle."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn

from passband.imaging.compiled import compiled
from passband.learning.heads.found import Found
from passband.parts import head

#: In what offsets and diameters are measured [pixels].
SCALE_PX = 32.0
#: The smallest area of a particle by which its pixels are weighed in the loss [pixels].
LEAST_PX = 80.0
#: Errors below this count by their squares in the loss, and those above by their size.
BETA = 0.05
#: The range of logarithms of diameters, in units of :data:`SCALE_PX`.
LOG_SIZES = -4.0, 4.0
#: The standard deviation of the Gaussian that adds up the votes around a place [pixels].
SIGMA_PX = 4.5
#: The share of a particle's votes that makes a centre.
LEAST_VOTES = 0.15
#: The side of the square of which a centre has most votes [pixels].
APART_PX = 7
#: The smallest diameter of a particle [nm].
SMALLEST_NM = 0.5


@head(outputs=3)
class votes:  # noqa: N801, the name of the part
    """Each pixel says where its particle's centre is, and how large the particle is.

    The outputs are the offset from a pixel to the centre of its particle, along rows and along
    columns, and the natural logarithm of the particle's diameter, all in units of 32 pixels. A
    particle is whole in them: what a particle on the other face covers belongs to it, too. What the
    edge of the image or of the crop cuts off does not.
    """

    channels = "row_offset", "column_offset", "log_diameter"

    def loss(self, further: Tensor, instances: Tensor) -> Tensor:
        """Return the mean error of all outputs, in which each particle counts alike."""
        wanted, weights = targets(instances)
        error = nn.functional.smooth_l1_loss(further, wanted, reduction="none", beta=BETA)
        sums = (error * weights).sum((1, 2, 3, 4))
        return sums / weights.sum((1, 2, 3, 4)).clamp_min(1e-6)

    def decode(self, logits: np.ndarray, pixel_nm: float) -> Found:
        """Return the particles: their centres are where many votes are.

        The certainty is the product of two numbers. Pixels of two particles in one disagree in
        their votes, and half a particle has half the area that it states. The mean probability is
        no part of it, since that of merged particles is as high as that of others, or higher.
        """
        mask = logits[0] > 0
        log_size = np.clip(logits[3][mask], *LOG_SIZES)
        votes = np.stack(np.nonzero(mask)) + SCALE_PX * logits[1:3, mask]
        # An area below that of the smallest particle would let few pixels make a centre.
        smallest_px = np.pi / 4 * (SMALLEST_NM / pixel_nm) ** 2
        areas = np.maximum(np.pi / 4 * (SCALE_PX * np.exp(log_size)) ** 2, smallest_px)
        voters = _nearest_centres(votes, areas, mask.shape)
        particles = _Particles.of(voters, votes, log_size)
        labels = np.zeros(mask.shape, np.int32)
        labels[mask] = voters
        _split_overlaps(labels, mask, particles)
        areas = np.bincount(labels.ravel(), minlength=len(particles.radii) + 1)
        large = areas >= smallest_px
        large[0] = False
        certainty = particles.agreement * _ratio(areas[1:], np.pi * particles.radii**2)
        return Found(
            labels=(np.cumsum(large) * large).astype(np.int32)[labels],
            diameters_nm=2 * particles.radii[large[1:]] * pixel_nm,
            certainty=certainty[large[1:]],
        )


def targets(instances: Tensor) -> tuple[Tensor, Tensor]:
    """Return what the outputs should be (…, 3, H, W), and the weight of each pixel (…, 1, H, W).

    Where particles on both faces overlap, a pixel belongs to the smaller one: which of them is
    above can hardly be seen, and a small particle would otherwise be lost behind a large one. Parts
    of a particle that are not connected, as at both sides of a periodic field, are particles of
    their own: a network sees no more of them.

    Args:
        instances: (…, 2, H, W), integers, see :mod:`passband.learning.losses`.
    """
    shape = instances.shape
    labels = instances.reshape(-1, *shape[-3:]).to("cpu", torch.int32).contiguous()
    found = torch.zeros(len(labels), 4, *shape[-2:])
    fill = compiled(_targets, "(i4[:,:,:,::1], f4[:,:,:,::1])")
    fill(labels.numpy(), found.numpy())
    wanted, weights = found.to(instances.device).split([3, 1], dim=1)
    return wanted.reshape(*shape[:-3], 3, *shape[-2:]), weights.reshape(*shape[:-3], 1, *shape[-2:])


def _targets(labels, out):
    """Write offset, logarithm of the diameter and weight of each pixel of a particle.

    `labels` are (N, 2, H, W), and `out` is (N, 4, H, W), with zeros.
    """
    images, faces, height, width = labels.shape
    pixels = height * width
    piece = np.empty((faces, height, width), np.int32)
    stack = np.empty(pixels, np.int32)
    areas = np.empty(faces * pixels + 1)
    rows = np.empty(faces * pixels + 1)
    columns = np.empty(faces * pixels + 1)
    for n in range(images):
        piece[:] = 0
        number = 0
        for f in range(faces):
            for i in range(height):
                for j in range(width):
                    own = labels[n, f, i, j]
                    if own == 0 or piece[f, i, j]:
                        continue
                    # All pixels that are connected with this one, also over corners.
                    number += 1
                    area = row = column = 0
                    piece[f, i, j] = number
                    stack[0] = i * width + j
                    left = 1
                    while left:
                        left -= 1
                        y = stack[left] // width
                        x = stack[left] % width
                        area += 1
                        row += y
                        column += x
                        for v in range(max(y - 1, 0), min(y + 2, height)):
                            for u in range(max(x - 1, 0), min(x + 2, width)):
                                if labels[n, f, v, u] == own and piece[f, v, u] == 0:
                                    piece[f, v, u] = number
                                    stack[left] = v * width + u
                                    left += 1
                    areas[number] = area
                    rows[number] = row / area
                    columns[number] = column / area
        for i in range(height):
            for j in range(width):
                chosen = 0
                for f in range(faces):
                    other = piece[f, i, j]
                    if other and (chosen == 0 or areas[other] < areas[chosen]):
                        chosen = other
                if chosen:
                    out[n, 0, i, j] = (rows[chosen] - i) / SCALE_PX
                    out[n, 1, i, j] = (columns[chosen] - j) / SCALE_PX
                    out[n, 2, i, j] = np.log(2 * np.sqrt(areas[chosen] / np.pi) / SCALE_PX)
                    out[n, 3, i, j] = 1 / max(areas[chosen], LEAST_PX)


def _nearest_centres(votes: np.ndarray, areas: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the number of the centre that is nearest to each vote, from 1 on without gaps.

    It is 0 if the nearest centre is farther away than the radius that the pixel states: its
    particle has no centre, and would be given to another one.

    Args:
        votes: (2, votes), rows and columns.
        areas: (votes,), the area of its particle that each pixel states [pixels].
    """
    places = np.clip(np.rint(votes), 0, np.array(shape)[:, None] - 1)
    flat = np.ravel_multi_index(tuple(places.astype(int)), shape)
    # All votes of a particle add up to 1.
    heat = np.bincount(flat, 1 / areas, minlength=shape[0] * shape[1]).reshape(shape)
    heat = 2 * np.pi * SIGMA_PX**2 * heat
    heat = ndimage.gaussian_filter(heat, SIGMA_PX, mode="constant", truncate=3)
    highest = heat == ndimage.maximum_filter(heat, APART_PX, mode="constant")
    centres, number = ndimage.label(highest & (heat > LEAST_VOTES), np.ones((3, 3)))
    if not number:
        return np.zeros(len(areas), np.int32)
    distance, nearest = ndimage.distance_transform_edt(centres == 0, return_indices=True)
    voted = centres[tuple(nearest)].ravel()[flat]
    voted[distance.ravel()[flat] > np.sqrt(areas / np.pi)] = 0
    return np.searchsorted(np.unique(np.append(voted, 0)), voted)


@dataclass(frozen=True)
class _Particles:
    """What the pixels that vote for a centre say of the particle around it.

    Attributes:
        centres: (2, particles), rows and columns: the mean votes.
        radii: (particles,) [pixels].
        agreement: (particles,), from 0 to 1, the share of its pixels' variance that is gone in
            their votes.
    """

    centres: np.ndarray
    radii: np.ndarray
    agreement: np.ndarray

    @classmethod
    def of(cls, voters: np.ndarray, votes: np.ndarray, log_size: np.ndarray) -> "_Particles":
        """Return the particles of pixels (pixels,), of which each voter names its centre."""
        number = int(voters.max(initial=0))
        areas = np.bincount(voters, minlength=number + 1)[1:]

        def mean(values: np.ndarray) -> np.ndarray:
            return np.bincount(voters, values, minlength=number + 1)[1:] / areas

        centres = np.stack([mean(each) for each in votes])
        variance = sum(mean(each**2) for each in votes) - (centres**2).sum(0)
        radii = SCALE_PX / 2 * np.exp(mean(log_size))
        gone = np.clip(1 - variance / (radii**2 / 2), 0, 1)  # a disc has the variance r²/2
        return cls(centres, radii, gone)


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the smaller one of two numbers divided by the larger one."""
    return np.minimum(a, b) / np.maximum(a, b)


def _split_overlaps(labels: np.ndarray, mask: np.ndarray, particles: _Particles) -> None:
    """Give pixels that two discs cover to the centre that is nearer in units of its radius."""
    covered = np.zeros(labels.shape, np.uint8)
    nearest = np.ones(labels.shape)
    chosen = np.zeros(labels.shape, np.int32)
    for k, radius in enumerate(particles.radii):
        row, column = particles.centres[:, k]
        rows, columns = (
            slice(max(0, int(middle - radius)), max(0, int(middle + radius) + 2))
            for middle in (row, column)
        )
        inside = nearest[rows, columns]
        y = rows.start + np.arange(inside.shape[0])
        x = columns.start + np.arange(inside.shape[1])
        distance = np.hypot(y[:, None] - row, x - column) / radius
        covered[rows, columns] += distance < 1
        nearer = distance < inside
        inside[nearer] = distance[nearer]
        chosen[rows, columns][nearer] = k + 1
    twice = mask & (covered > 1)
    labels[twice] = chosen[twice]
