"""Compiled layers in a compact U-Net that torch computes in bfloat16."""

import functools
from itertools import pairwise

from torch import Tensor, nn

from passband.learning.compact_unet import CompactUNet, Halving
from passband.learning.narrow import normalisation, pooling


def fuse(network: CompactUNet) -> list[nn.Module]:
    """Let compiled functions compute the layers of a network whose images they can compute.

    Returns:
        The changed layers. Without its attribute `forward`, such a layer is torch's again.
    """
    fused = []
    blocks = [layer for layer in network.modules() if isinstance(layer, nn.Sequential)]
    for norm, relu in (pair for block in blocks for pair in pairwise(block)):
        if isinstance(norm, nn.BatchNorm2d):
            norm.forward = functools.partial(_normalise_and_rectify, norm)
            relu.forward = _same
            fused += [norm, relu]
    network.halve.forward = functools.partial(_halve, network.halve)
    return [*fused, network.halve]


def _normalise_and_rectify(layer: nn.BatchNorm2d, x: Tensor) -> Tensor:
    if normalisation.applies(layer, x):
        return normalisation.normalise(layer, x)
    return nn.BatchNorm2d.forward(layer, x).relu()


def _halve(layer: Halving, x: Tensor) -> tuple[Tensor, Tensor]:
    return pooling.halve(x) if pooling.applies(x) else Halving.forward(layer, x)


def _same(x: Tensor) -> Tensor:
    return x
