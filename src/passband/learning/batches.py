"""Batches of training images. Noise-free images are formed once for all networks of a job.

The images of each network have their own noise, and their own random rotations and flips. If the
lens is round, images are rotated and flipped. Otherwise structures are rotated and flipped before
the lens forms their images: a rotated image would be that of another lens.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from passband.config import Training
from passband.grid import Condition
from passband.imaging import mixture_images
from passband.imaging.acquisition import Acquisition
from passband.imaging.noise import noise_seeds
from passband.imaging.square_symmetry import turned
from passband.imaging.structures import Split
from passband.learning.streaming import Source
from passband.mixtures import Mixture
from passband.seeds import generator

#: Number of images of a mixture that are formed at a time.
_AT_ONCE = 16


def cropped(images: Tensor, corners: np.ndarray, side: int) -> Tensor:
    """Return a square (N, …, side, side) of each periodic image (N, …, H, W).

    `corners` has the first row and the first column of each square, (N, 2) int.
    """
    parts = [
        image.roll((-int(row), -int(column)), (-2, -1))[..., :side, :side]
        for image, (row, column) in zip(images, corners, strict=True)
    ]
    return torch.stack(parts)


class Images:
    """The images and masks of a split under a condition.

    All replicas share the noise-free intensities. These intensities are either kept in memory or
    formed for every batch, and both ways give the same images. The noise of an image is drawn for
    every batch. An intensity depends only on structure, condition and draw, and the noise depends
    also on the replica.

    Args:
        hold: Whether to form all intensities of a draw of the jitter at once, and to keep them in
            memory until another draw is needed. Without jitter, the intensities are formed only
            once. If `hold` is true, the source must be a
            :class:`~passband.imaging.structures.Split`.
        instances: Whether the instances, which the source then has, are given beside the masks.
    """

    def __init__(
        self,
        acquisition: Acquisition,
        source: Source,
        condition: Condition,
        hold: bool = True,
        instances: bool = False,
    ):
        self._acquisition, self._source = acquisition, source
        self._condition, self._hold = condition, hold
        self._instances = instances
        self._held: tuple[int, Tensor] | None = None

    def __len__(self) -> int:
        return len(self._source)

    @property
    def names(self) -> tuple[int | str, ...]:
        """The names that every seed of these images depends on.

        The names are the study's seed, the specimen, the split and the condition.
        """
        return *self._source.structures.names, self._condition.id

    @property
    def is_round(self) -> bool:
        """Whether images may be turned: the lens has no aberration that is not round.

        Random aberrations have no preferred direction, so they do not matter.
        """
        return self._acquisition.microscope.optics(self._condition).round

    @property
    def is_periodic(self) -> bool:
        """Whether what leaves an image at an edge comes back at the opposite one."""
        return self._acquisition.microscope.under(self._condition).background.is_even

    def take(
        self,
        places: np.ndarray,
        draw: int = 0,
        replicas: Sequence[int] | None = None,
        turns: np.ndarray | None = None,
    ) -> tuple[Tensor, ...]:
        """Return images and their targets: masks, and with `instances` the labels of particles.

        Args:
            places: (n,) int, or (R, n), positions of the structures in the split. With `replicas`,
                there is a row for each replica.
            draw: The number of the draw of the noise and of the jitter.
            replicas: The replicas whose noise is drawn. By default, the noise of validation images
                is drawn, which all networks share.
            turns: int, for each place, the symmetry operation of the square after which the lens
                forms an image of the structure, see :func:`passband.imaging.square_symmetry.turn`.

        Returns:
            two (n, 1, px, px) or (R·n, 1, px, px) float32: normalised images, and masks that are 1
            in the particles. With `replicas`, the images are in the order of the replicas. The
            labels are (n, 2, px, px) or (R·n, 2, px, px) uint8.
        """
        intensity, source, places_there = self._formed(places.ravel(), draw, turns)
        rows = source.indices[places_there].reshape(-1, places.shape[-1])
        seeds = [
            seed
            for replica, row in zip(replicas or [None], rows, strict=True)
            for seed in noise_seeds(self._source.structures, row, self._condition, draw, replica)
        ]
        indices = rows.ravel().tolist()
        cameras = self._acquisition.cameras(self._source.structures, indices, self._condition, draw)
        counts = self._acquisition.exposed(intensity, self._condition, seeds, cameras)
        images = self._acquisition.normalised(counts, self._condition)[:, None]
        return images, *source.targets(places_there, self._instances)

    def _formed(
        self, places: np.ndarray, draw: int, turns: np.ndarray | None
    ) -> tuple[Tensor, Split, np.ndarray]:
        """Return intensities, and the split and the places in it that they are of."""
        if turns is not None:
            pairs, places = np.unique(
                np.stack([places, turns.ravel()]), axis=1, return_inverse=True
            )
            places = places.ravel()
            distinct, again = np.unique(pairs[0], return_inverse=True)
            source = self._source.take(distinct).take(again).turned(pairs[1])
            intensity = self._intensities(source, draw)
        elif self._hold:
            source = self._source
            draw = draw if self._acquisition.microscope.varies else 0
            if self._held is None or self._held[0] != draw:
                self._held = None  # the memory of the last draw is freed before the next one
                self._held = draw, self._intensities(source, draw)
            intensity = self._held[1]
        else:
            # Each structure is read only once for all networks that need the structure.
            distinct, places = np.unique(places, return_inverse=True)
            source = self._source.take(distinct)
            intensity = self._intensities(source, draw)
        return intensity[places], source, places

    def _intensities(self, split: Split, draw: int) -> Tensor:
        return torch.cat(list(self._acquisition.intensities(split, self._condition, draw)))


class MixedImages(Images):
    """The images and masks of a split, each under its own condition of a mixture.

    Replicas share no images, since each replica has its own conditions. Validation images are drawn
    once, and kept in memory if `hold` is true. The parameters are those of :class:`Images`, with a
    mixture in place of the condition.
    """

    _condition: Mixture
    _kept: Tensor | None = None

    @property
    def is_round(self) -> bool:
        """Whether images may be turned: no lens has an aberration that is not round."""
        optics = self._acquisition.microscope.optics
        return all(optics(condition).round for condition in self._condition.extremes)

    @property
    def is_periodic(self) -> bool:
        """Whether the light is even in all images."""
        under = self._acquisition.microscope.under
        return all(under(condition).background.is_even for condition in self._condition.extremes)

    def take(
        self,
        places: np.ndarray,
        draw: int = 0,
        replicas: Sequence[int] | None = None,
        turns: np.ndarray | None = None,
    ) -> tuple[Tensor, ...]:
        """Return images and targets, see :meth:`Images.take`."""
        if replicas is not None:
            owners = np.repeat(replicas, places.shape[-1]).tolist()
            return self._drawn(places.ravel(), draw, owners, turns)
        if not self._hold:
            return self._drawn(places, 0, None, None)
        if self._kept is None:
            parts = np.array_split(np.arange(len(self)), range(_AT_ONCE, len(self), _AT_ONCE))
            self._kept = torch.cat([self._drawn(part, 0, None, None)[0] for part in parts])
        return self._kept[places], *self._source.targets(places, self._instances)

    def _drawn(
        self,
        places: np.ndarray,
        draw: int,
        owners: Sequence[int] | None,
        turns: np.ndarray | None,
    ) -> tuple[Tensor, ...]:
        # Each structure is read only once for all networks that need the structure.
        distinct, again = np.unique(places, return_inverse=True)
        split = self._source.take(distinct).take(again.ravel())
        if turns is not None:
            split = split.turned(turns.ravel())
        formed = mixture_images.images(self._acquisition, split, self._condition, draw, owners)
        return formed[:, None], *split.targets(np.arange(len(split)), self._instances)


def images_under(
    acquisition: Acquisition,
    source: Source,
    under: Condition | Mixture,
    hold: bool = True,
    instances: bool = False,
) -> Images:
    """Return the images of a split under a condition, or under the conditions of a mixture.

    Parameters are those of :class:`Images`.
    """
    kind = MixedImages if isinstance(under, Mixture) else Images
    return kind(acquisition, source, under, hold, instances)


class Batches:
    """Training batches of one or several networks, in every epoch."""

    def __init__(self, images: Images, settings: Training):
        self._images, self._settings = images, settings
        # The first image of every batch except batch 0. If the last batch would have a single
        # image, the image is added to the previous batch: batch normalisation needs two images.
        self._starts = range(settings.batch_size, len(images) - 1, settings.batch_size)

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return len(self._starts) + 1

    def epoch(
        self, replicas: Sequence[int], epoch: int, first: int = 0
    ) -> Iterator[tuple[Tensor, ...]]:
        """Yield (R, N, 1, px, px) images and targets of an epoch's batches, see `Images.take`.

        Every replica has its own order of structures, symmetry operations and noise. Order,
        operations and noise do not depend on the architecture of the network.

        Args:
            replicas: The networks' replica numbers.
            epoch: The epoch, from 0 on. The same epoch always gives the same batches.
            first: The number of batches that are skipped at the beginning.
        """
        draw = epoch if self._settings.noise == "fresh" else 0
        orders, turns = [], []
        for replica in replicas:
            random = generator(*self._images.names, "order", replica, epoch)
            orders.append(random.permutation(len(self._images)))
            turns.append(random.integers(8, size=len(self._images)))
        parts = (np.array_split(np.stack(each), self._starts, axis=1) for each in (orders, turns))
        for number, (order, how) in list(enumerate(zip(*parts, strict=True)))[first:]:
            structures = how if self._settings.augment and not self._images.is_round else None
            pair = self._images.take(order, draw, replicas, structures)
            if crop := self._settings.crop_px:
                # The random numbers do not depend on which batches are skipped.
                names = *self._images.names, "crop", epoch, number
                chosen = [generator(*names, replica) for replica in replicas]
                side = pair[0].shape[-1]
                # A crop over an edge would have a step where the light is uneven.
                starts = side if self._images.is_periodic else side - crop + 1
                sizes = order.shape[1], 2
                corners = [random.integers(starts, size=sizes) for random in chosen]
                pair = tuple(cropped(part, np.concatenate(corners), crop) for part in pair)
            if self._settings.augment and self._images.is_round:
                pair = (turned(part, how.ravel()) for part in pair)
            yield tuple(part.unflatten(0, order.shape) for part in pair)
