"""The contact sheet of a specimen: its structures' potentials, exit waves, images and masks."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure

from passband.config import Specimen
from passband.figures import images
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Split
from passband.optics.sampling import Sampling
from passband.specimens import exit_waves as simulate
from passband.specimens.multislice import Multislice


def sheet(
    camera: Acquisition,
    split: Split,
    specimen: Specimen,
    condition: Condition,
    progress: Callable[[Sequence[int]], Iterable[int]] = iter,
    own: tuple[Specimen, Sampling] | None = None,
) -> Figure:
    """Return a contact sheet, :func:`passband.figures.images.gallery`, of a split's structures.

    Exit waves are stored, but potentials are not, so the structures are made again from their seeds
    to compute the potentials.

    Args:
        camera: Makes the images from the exit waves.
        split: The stored structures of the split, read together with their instance masks.
        specimen: The specimen's distribution, from which the structures were drawn.
        condition: Imaging condition under which the images are made.
        own: The study's own specimen and pixels, see :func:`passband.specimens.structures.draw`.
    """
    seed, name, kind = split.structures.names
    sampling = camera.imager.sampling
    image = camera.microscope.sampling
    multislice = Multislice(sampling, camera.microscope.energy_eV)
    structures = [
        simulate.structure(name, specimen, image, seed, kind, index, own)
        for index in progress(split.indices)
    ]
    return images.gallery(
        np.stack([multislice.potential(s.atoms) for s in structures]),
        # Each frozen configuration of a structure has its own exit wave. The first exit wave is
        # shown.
        sampling.restore(split.spectra[:, 0].cpu().numpy()),
        torch.cat(list(camera.counts(split, condition))).cpu().numpy(),
        split.instances,
        name,
        [f"{kind} {index}" for index in split.indices],
        condition.id,
        sampling.pixel_A,
    )
