"""Passband's own U-Net, as a module of torch."""

import torch
from torch import Tensor, nn

from passband.learning.architectures.compact import Compact


class CompactUNet(nn.Module):
    """A U-Net (Ronneberger et al. 2015) with batch normalisation and nearest-neighbour upsampling.

    The network maps (N, 1, H, W) images to (N, 1, H, W) logits. H and W must be multiples of
    2**depth.

    There are `width` channels at full resolution. The resolution is halved `depth` times, and the
    number of channels doubles each time.
    """

    def __init__(self, architecture: Compact):
        super().__init__()
        self.architecture = architecture
        width = architecture.width
        depth = architecture.depth
        channels = [width * 2**level for level in range(depth + 1)]
        inputs = [1, *channels[:-1]]
        self.down = nn.ModuleList(_block(i, o) for i, o in zip(inputs, channels, strict=True))
        self.up = nn.ModuleList(
            _block(channels[level] + channels[level + 1], channels[level])
            for level in reversed(range(depth))
        )
        self.halve = Halving()
        self.head = nn.Conv2d(width, 1, 1)

    def encoder(self, x: Tensor) -> list[Tensor]:
        """Return the feature maps at every resolution; those of the coarsest resolution are last.

        The encoders of segmentation_models_pytorch can be called in the same way.
        """
        features = [self.down[0](x)]
        for block in self.down[1:]:
            features[-1], small = self.halve(features[-1])
            features.append(block(small))
        return features

    def forward(self, x: Tensor) -> Tensor:
        *skips, x = self.encoder(x)
        for convolution, *rest in self.up:
            x = _joined(convolution, skips.pop(), x)
            for layer in rest:
                x = layer(x)
        return self.head(x)


class Halving(nn.Module):
    """Max pooling of the features that a skip connection needs, too."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return (N, C, H, W) features themselves, and their (N, C, H/2, W/2) maxima."""
        return x, nn.functional.max_pool2d(x, 2)


def _joined(layer: nn.Conv2d, skip: Tensor, x: Tensor) -> Tensor:
    """Return a layer's convolution of the channels of `skip` and of `x`.

    The resolution of `x` is doubled by nearest-neighbour interpolation. The result is computed as a
    convolution of `skip` plus a transposed convolution of `x`. Several of the nine weights of the
    layer's 3 × 3 kernel fall on the same pixel of `x`. Such weights are added, so that four weights
    are left for each pixel. So no tensor of doubled resolution and no joined tensor is made. A
    training step on a CPU takes 10% (bfloat16) to 20% (float32) less time.

    Args:
        layer: A 3 × 3 convolution without bias, padded by 1. Its first input channels are those of
            `skip`.
        skip, x: (N, C, H, W) and (N, C', H/2, W/2), features from the skip connection, and features
            of half the resolution.
    """
    own, other = layer.weight.split([skip.shape[1], x.shape[1]], dim=1)
    taps = other.to(torch.promote_types(other.dtype, torch.float32)).flip(2, 3).transpose(0, 1)
    taps = sum(
        nn.functional.pad(taps, (right, 1 - right, down, 1 - down))
        for right in (0, 1)
        for down in (0, 1)
    ).to(other.dtype)
    doubled = nn.functional.conv_transpose2d(x, taps, stride=2, padding=1)
    return nn.functional.conv2d(skip, own, padding=1) + doubled


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
