"""A contact sheet of a specimen's structures: what networks are shown, and what it is made from."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure

from passband import figures, simulate
from passband.config import Specimen
from passband.examples import Camera, Split
from passband.grid import Condition


def sheet(
    camera: Camera,
    split: Split,
    specimen: Specimen,
    condition: Condition,
    progress: Callable[[Sequence[int]], Iterable[int]] = iter,
) -> Figure:
    """Return :func:`passband.figures.gallery` of all structures of a split.

    Exit waves are stored, potentials are not: the structures are made again from their seeds.

    Parameters
    ----------
    camera : Camera
        Takes the images.
    split : Split
        Whose structures; read with their instances.
    specimen : config.Specimen
        The distribution that they were drawn from.
    condition : Condition
        Under which imaging condition.
    progress : callable
        Wraps the iteration over the structures, as tqdm does.
    """
    seed, name, of = split.names
    sampling = camera.imager.sampling
    structures = [
        simulate.structure(name, specimen, sampling, seed, of, index)
        for index in progress(split.structures)
    ]
    return figures.gallery(
        np.stack([simulate.projected_potential(s.atoms, sampling) for s in structures]),
        # A wave of its own has each frozen configuration: this is the first.
        sampling.restore(split.spectra[:, 0].cpu().numpy()),
        torch.cat(list(camera.counts(split, condition))).cpu().numpy(),
        split.instances,
        name,
        [f"{of} {index}" for index in split.structures],
        condition.id,
        sampling.pixel_A,
    )
