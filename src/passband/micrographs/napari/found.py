"""What *Segment* does: a network finds the particles of an image that napari shows."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from passband.errors import PassbandError
from passband.micrographs.assessors import Assessors
from passband.micrographs.images import readers
from passband.micrographs.images.settings import Settings
from passband.micrographs.models.published_network import PublishedNetwork
from passband.micrographs.napari.shown import KEY, Shown
from passband.micrographs.outputs import CUT, WHOLE
from passband.micrographs.predictions import Prediction, Predictor
from passband.micrographs.summary import Frame
from passband.results import locate

#: What is said if the user has cancelled.
CANCELLED = "cancelled: no layer was added"
#: Outlines are as thin as an image of so many pixels needs.
_SIDE_PX = 400


@dataclass(frozen=True)
class Found:
    """The particles of an image.

    Attributes:
        labels: (height, width) or (frames, height, width) int32, as the image: 0 in the background,
            and the label of its particle in each particle.
        outlines: The same, with even numbers in whole particles, and odd ones in particles that
            touch the edge.
        lines: What ``passband predict`` prints.
    """

    shown: Shown
    labels: np.ndarray
    outlines: np.ndarray
    lines: tuple[str, ...]

    @property
    def labels_layer(self) -> dict[str, Any]:
        """The arguments of napari's ``add_labels`` for the particles, which a person corrects."""
        return {"name": f"{self.shown.name} particles", "opacity": 0.4, **self.shown.place}

    @property
    def outlines_layer(self) -> dict[str, Any]:
        """The arguments of napari's ``add_labels`` for the outlines, which stay as they are."""
        place = self.shown.place
        place["metadata"][KEY] |= {"is_outlines": True}
        return {"name": f"{self.shown.name} outlines", "opacity": 1.0, **place}

    @property
    def colors(self) -> dict[int | None, tuple[float, ...]]:
        """The colours of the outlines, which are those of the overlay of ``predict``."""
        odd = range(1, int(self.outlines.max(initial=0)) + 1, 2)
        whole = tuple(value / 255 for value in WHOLE)
        cut = tuple(value / 255 for value in CUT)
        return {None: (*whole, 1.0), 0: (0.0, 0.0, 0.0, 0.0)} | dict.fromkeys(odd, (*cut, 1.0))

    @property
    def width_px(self) -> int:
        """The width of the outlines [pixels]."""
        return max(1, round(min(self.labels.shape[-2:]) / _SIDE_PX))


def segment(
    shown: Shown,
    network: str,
    progress: Callable[[float, str], object] = lambda share, words: None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Found:
    """Find the particles of an image, as :meth:`passband.Network.segment` does.

    Args:
        network: ``general``, or a published folder.
        progress: Is called with the share of the work that is done, from 0 to 1, and words.
        is_cancelled: Is asked before each tile.

    Raises:
        PassbandError: If the network or the image cannot be used, or if the user has cancelled.
    """
    predictor = _predictor(network)
    path = shown.file or Path(shown.name)
    micrograph = readers.of_frames(shown.images, shown.pixel_size_A, path)
    number = len(micrograph.images)
    done = 0

    def tiles(every: Iterable) -> Iterator:
        nonlocal done
        every = list(every)
        for k, tile in enumerate(every):
            if is_cancelled():
                raise PassbandError(CANCELLED)
            of = f"image {done + 1} of {number}, " if number > 1 else ""
            progress((done + k / len(every)) / number, f"{of}tile {k + 1} of {len(every)}")
            yield tile
        done += 1

    results = predictor.segment(micrograph, tiles)
    frames = tuple(
        Frame.of(
            result,
            predictor.notes(micrograph),
            file=path.name,
            frame=k,
            number=number,
            networks=predictor.ids,
            dose_e_per_A2=None,
            score=None,
        )
        for k, result in enumerate(results)
    )
    labels = np.stack([result.labels for result in results]).reshape(shown.images.shape)
    outlines = np.stack(
        [
            2 * each.labels + _cut(each.labels, frame)
            for each, frame in zip(results, frames, strict=True)
        ]
    )
    return Found(
        shown=shown,
        labels=labels,
        outlines=outlines.reshape(shown.images.shape),
        lines=tuple(Prediction(path, frames, ()).lines()),
    )


def _predictor(network: str) -> Predictor:
    """Return what segments images with a network."""
    folder = locate.network_path(network or "''")
    if folder is None or not folder.is_dir():
        raise PassbandError(f"network = {network!r}: must be general, or a published folder")
    networks = [PublishedNetwork.open(folder)]
    settings = Settings()
    settings.check(networks)
    return Predictor(networks, settings, assessor=Assessors().of(networks))


def _cut(labels: np.ndarray, frame: Frame) -> np.ndarray:
    """Return 1 in particles that touch the edge, and 0 elsewhere."""
    return np.isin(labels, [each.label for each in frame.particles if each.touches_edge])
