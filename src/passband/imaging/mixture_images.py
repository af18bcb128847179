"""Images for networks of mixtures: each image has its own condition, which is drawn at random.

An image depends only on its structure, its condition, the draw and the replica. It is the image
that :class:`~passband.imaging.acquisition.Acquisition` forms of the structure under the drawn
condition, up to rounding.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.imager import without_aberrations
from passband.imaging.noise import noise_seeds
from passband.imaging.structures import Split, Structures
from passband.mixtures import Mixture
from passband.optics.ctf import Optics


def drawn(
    mixture: Mixture,
    structures: Structures,
    index: int,
    draw: int = 0,
    replica: int | None = None,
) -> Condition:
    """Return the condition of an image; parameters as of :func:`noise_seeds`."""
    owner = () if replica is None else ("replica", replica)
    return mixture.draw(*structures.names, index, mixture.id, "condition", *owner, draw)


def images(
    acquisition: Acquisition,
    split: Split,
    mixture: Mixture,
    draw: int = 0,
    replicas: Sequence[int | None] | None = None,
) -> torch.Tensor:
    """Return normalised images (N, px, px) float32, each under its own condition.

    Args:
        draw: The number of the draw of the conditions, of the noise and of the jitter.
        replicas: The replica that is trained on each image. By default, all images are validation
            or test images.
    """
    owners = [None] * len(split) if replicas is None else replicas
    indices = split.indices.tolist()
    conditions = [
        drawn(mixture, split.structures, index, draw, owner)
        for index, owner in zip(indices, owners, strict=True)
    ]
    cameras = [
        acquisition.cameras(split.structures, [index], condition, draw)
        for index, condition in zip(indices, conditions, strict=True)
    ]
    blurs = [camera.blur for (camera,) in cameras]
    intensities = _intensities(
        acquisition, split, conditions, draw=draw, widest=mixture.widest_mrad, blurs=blurs
    )
    result = []
    for place, condition in enumerate(conditions):
        seeds = noise_seeds(split.structures, [indices[place]], condition, draw, owners[place])
        counts = acquisition.exposed(intensities[place][None], condition, seeds, cameras[place])
        result.append(acquisition.normalised(counts, condition))
    return torch.cat(result)


def batches(
    acquisition: Acquisition, split: Split, under: Condition | Mixture, size: int
) -> Iterator[torch.Tensor]:
    """Yield normalised test images of a split in batches of (n, px, px), in order.

    Args:
        under: The condition of all images, or the distribution of the conditions of single images.
        size: Number of images in a batch. The images do not depend on it.
    """
    if isinstance(under, Condition):
        for counts in acquisition.counts(split, under, chunk=size):
            yield acquisition.normalised(counts, under)
        return
    for first in range(0, len(split), size):
        places = torch.arange(first, min(first + size, len(split))).numpy()
        yield images(acquisition, split.take(places), under)


def _intensities(
    acquisition: Acquisition,
    split: Split,
    conditions: Sequence[Condition],
    draw: int,
    widest: float,
    blurs: Sequence[np.ndarray | None],
) -> list[torch.Tensor]:
    """Return the noise-free image of each structure under its own condition.

    Images are formed together if their conditions differ only in aberrations, aperture and dose,
    and behind the lens.
    """
    groups: dict[Optics, list[int]] = {}
    lenses, doses = [], []
    for place, condition in enumerate(conditions):
        index = int(split.indices[place])
        optics = acquisition.microscope.optics(condition)
        lens, dose = acquisition.lens(optics, split.structures, index, condition, draw)
        lenses.append(lens)
        doses.append(dose)
        alike = replace(without_aberrations(lens), aperture=0.0)
        groups.setdefault(alike, []).append(place)
    result: list[torch.Tensor] = [torch.empty(0)] * len(conditions)
    for places in groups.values():
        own = [lenses[place] for place in places]
        blurred = [blurs[place] for place in places]
        formed = acquisition.imager.intensity(split.spectra[places], own, widest, blurs=blurred)
        for image, place in zip(formed, places, strict=True):
            result[place] = image * doses[place] if doses[place] != 1 else image
    return result
