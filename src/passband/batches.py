"""Batches of training images: formed for all networks of a job, gathered and turned for each."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from passband.config import Training
from passband.examples import Camera
from passband.grid import Condition
from passband.seeds import seed
from passband.sources import Source


def turn(images: Tensor, how: int) -> Tensor:
    """Return images after one of the eight symmetries of the square.

    Parameters
    ----------
    images : (..., H, H) tensor
        Square images.
    how : int
        0 to 7: quarter turns, modulo 4; from 4 on with a flip before.
    """
    return torch.rot90(images.flip(-1) if how >= 4 else images, how % 4, (-2, -1))


def turned(images: Tensor, turns: np.ndarray) -> Tensor:
    """Return (N, …) images each after its symmetry, grouped so that each is one operation."""
    result = torch.empty_like(images)
    for how in np.unique(turns):
        where = torch.from_numpy(np.flatnonzero(turns == how)).to(images.device)
        result[where] = turn(images[where], int(how))
    return result


class Images:
    """The images and masks of a split under a condition, held or formed as they are asked for.

    Both ways give the same images, since an image depends on its structure, its condition and its
    draw alone.

    Parameters
    ----------
    camera : Camera
        Takes the images.
    source : Source
        Whose structures.
    condition : Condition
        Under which imaging condition.
    hold : bool
        Whether to form the images of a draw all at once and keep them until another is asked for.
    """

    def __init__(self, camera: Camera, source: Source, condition: Condition, hold: bool = True):
        self._camera, self._source, self._condition, self._hold = camera, source, condition, hold
        self._held: tuple[int, Tensor] | None = None

    def __len__(self) -> int:
        return len(self._source)

    def take(self, indices: np.ndarray, draw: int = 0) -> tuple[Tensor, Tensor]:
        """Return (n, 1, px, px) images and masks, both float32, of structures by their place."""
        if not self._hold:
            # Each structure once, however many networks ask for it.
            wanted, places = np.unique(indices, return_inverse=True)
            part = self._source.take(wanted)
            images = self._camera.images(part, self._condition, draw)
            return images[places], part.masks[places]
        if self._held is None or self._held[0] != draw:
            self._held = None  # freed before the next draw takes its place
            self._held = draw, self._camera.images(self._source, self._condition, draw)
        return self._held[1][indices], self._source.masks[indices]


class Batches:
    """Training batches of a network, or of several in step, as functions of the epoch.

    Parameters
    ----------
    images : Images
        Of the training split.
    settings : Training
        Batch size, noise and augmentation.
    """

    def __init__(self, images: Images, settings: Training):
        self._images, self._settings = images, settings
        # Where batches begin, after the first. A last image alone joins the batch before: batch
        # normalisation cannot take a batch of one.
        self._starts = range(settings.batch_size, len(images) - 1, settings.batch_size)

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self._starts) + 1

    def epoch(
        self, network_seeds: Sequence[int], epoch: int, first: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (R, N, 1, px, px) images and masks of an epoch's batches, from the `first` on.

        Parameters
        ----------
        network_seeds : sequence of R int
            Seeds of the order and the augmentation of each network.
        epoch : int
            Which epoch; the same always gives the same batches.
        first : int
            Batches to pass over.
        """
        draw = epoch if self._settings.noise == "fresh" else 0
        orders, turns = [], []
        for network_seed in network_seeds:
            random = np.random.default_rng(seed(network_seed, "epoch", epoch))
            orders.append(random.permutation(len(self._images)))
            turns.append(random.integers(8, size=len(self._images)))
        parts = (np.array_split(np.stack(each), self._starts, axis=1) for each in (orders, turns))
        for order, how in list(zip(*parts, strict=True))[first:]:
            pair = self._images.take(order.ravel(), draw)
            if self._settings.augment:
                pair = (turned(part, how.ravel()) for part in pair)
            yield tuple(part.unflatten(0, order.shape) for part in pair)
