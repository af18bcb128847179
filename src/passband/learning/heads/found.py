"""What a head is, and what it finds."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from passband.parts import Part, PartError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Found:
    """The particles that a head finds in an image.

    Attributes:
        labels: (h, w) int32, the number of the particle in each pixel, from 1 on without gaps, and
            0 elsewhere, also in pixels of the mask that are no particle's. Where particles overlap,
            a pixel is one particle's.
        diameters_nm: (particles,) of a disc with the area of the whole particle, also of what
            another one covers [nm].
        certainty: (particles,) from 0 to 1: higher for particles that are more often right.
    """

    labels: np.ndarray
    diameters_nm: np.ndarray
    certainty: np.ndarray


class Head(Protocol):
    """The methods of a head, see :class:`passband.parts.kinds.head`.

    A class of a head need not inherit from this one.
    """

    def loss(self, further: "Tensor", instances: "Tensor") -> "Tensor":
        """Return the loss of each network (R,), which is added to that of the mask.

        Args:
            further: (R, N, outputs, H, W) float32, the outputs of R networks for N images each,
                without the logit of the mask.
            instances: (R, N, 2, H, W) uint8, see :mod:`passband.learning.losses`.
        """
        ...

    def decode(self, logits: np.ndarray, pixel_nm: float) -> Found:
        """Return the particles of an image.

        Args:
            logits: (1 + outputs, h, w) float32, the logit of the mask and the further outputs.
            pixel_nm: The size of the network's pixels [nm].
        """
        ...


def opened(part: Part) -> Head:
    """Return the object of a head.

    Raises:
        PartError: If the code of the head must not run, fails, or lacks a method.
    """
    found = part.call(part.load())
    for name in ("loss", "decode"):
        if not callable(getattr(found, name, None)):
            raise PartError(f"{part}: has no method {name}")
    return found
