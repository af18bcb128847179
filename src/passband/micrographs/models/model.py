"""What looks at images asks of a network, whatever computes it."""

from typing import Protocol

import numpy as np


class Model(Protocol):
    """A network that is ready to look at images.

    Its images are (N, 1, height, width) float32: normalised, with the network's pixels. Their sides
    are multiples of `divisor`, and at least `smallest_px`.

    Attributes:
        name: What messages call it.
        divisor, smallest_px: See above [pixels].
        outputs: The number of outputs: the mask, and what a head finds particles in.
        halo: How far an output sees beyond its pixel [pixels], a multiple of the divisor. None if
            each output depends on the whole image or on its size.
        bytes_per_pixel: The memory for each pixel of a training batch [bytes].
    """

    @property
    def name(self) -> str: ...
    @property
    def divisor(self) -> int: ...
    @property
    def smallest_px(self) -> int: ...
    @property
    def outputs(self) -> int: ...
    @property
    def halo(self) -> int | None: ...
    @property
    def bytes_per_pixel(self) -> float: ...

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return (N, outputs, height, width) float32: the probability, and the further outputs."""
        ...

    def probability(self, images: np.ndarray) -> np.ndarray:
        """Return the probability alone, (N, height, width) float32."""
        ...

    def means(self, images: np.ndarray) -> np.ndarray:
        """Return the means (N, channels) float64 of the encoder's features over the pixels."""
        ...
