"""Passband's own U-Net, as plain data: torch is imported when it is built."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from passband.parts import architecture

if TYPE_CHECKING:
    from torch import nn


@architecture(name="compact-w<width>-d<depth>", example="compact-w8-d3")
@dataclass(frozen=True)
class Compact:
    """Passband's own U-Net.

    `width` is its number of channels at full resolution. `depth` is how many times it halves the
    resolution. `outputs` are the logit of the mask and what a head needs.

    Raises:
        ValueError: If it cannot have this width or depth.
    """

    #: Number of channels from which further outputs are computed.
    further_channels: ClassVar[int] = 16

    width: int
    depth: int
    outputs: int = 1

    def __post_init__(self) -> None:
        for name, most in (("width", 9999), ("depth", 8)):
            value = getattr(self, name)
            if not isinstance(value, int) or not 1 <= value <= most:
                raise ValueError(f"{name} = {value}: must be an integer between 1 and {most:,}")

    @property
    def divisor(self) -> int:
        """The side of an image must be a multiple of this."""
        return 2**self.depth

    @property
    def smallest_px(self) -> int:
        """The smallest side. With a smaller side, normalisation would have a single pixel."""
        return 2 * self.divisor

    @property
    def weights(self) -> int:
        """Number of weights: two normalised 3 × 3 convolutions for each block, and last layers."""
        channels = [self.width * 2**level for level in range(self.depth + 1)]
        inputs = [1, *channels[:-1], *(c + 2 * c for c in channels[:-1])]
        outputs = [*channels, *channels[:-1]]
        blocks = zip(inputs, outputs, strict=True)
        trunk = sum(9 * (i + o) * o + 4 * o for i, o in blocks) + self.width + 1
        return trunk + (self._further_weights if self.outputs > 1 else 0)

    @property
    def _further_weights(self) -> int:
        """Number of weights of the layers for further outputs."""
        inner = self.further_channels
        levels = sum(inner * (self.width * 2**level + 1) for level in range(1, self.depth + 1))
        return levels + 2 * inner + (inner + 1) * (self.outputs - 1)

    @property
    def bytes_per_pixel(self) -> float:
        """Memory in float32 for each pixel of a training batch [bytes].

        The result is the larger of the memory of a training step and the memory of validation.
        Validation predicts four times as many images at a time. Validation has 4½ × `width` numbers
        per pixel in memory where the last skip connection is joined. A training step keeps tensors
        for the gradients: the results of convolutions and normalisations, with four times the
        channels of each block, and the results of pooling with their indices.

        With further outputs, validation also keeps the features of lower resolutions, and a step
        has a second gradient of each; or most is in memory where the outputs are computed.
        """
        width = self.width
        kept = 17.5 - 13.5 / 2**self.depth
        validation = 4.5 * width + 2
        step = (kept + 2) * width + 3
        if self.outputs > 1:
            outputs = (2 - 0.5**self.depth) * width + self.further_channels
            validation = max(validation + (0.5 - 0.5**self.depth) * width, outputs)
            step += width + 3
        return 4 * max(4 * validation, step)

    def build(self) -> "nn.Module":
        """Return a network with new random weights."""
        from passband.learning.compact_unet import CompactUNet

        return CompactUNet(self)
