"""How far the outputs of a network see, which is measured."""

from functools import cache
from math import ceil

import torch
from torch import nn

from passband.config.architectures import Architecture
from passband.learning import networks

#: The longest strip on which a receptive field is measured [pixels].
_LONGEST = 4096


@cache
def halo(architecture: Architecture) -> int | None:
    """Return how far an output pixel can depend on pixels beyond a boundary of tiles [pixels].

    It is that of the output that sees farthest. The distance is measured. All input pixels on one
    side of a boundary are set to NaN, and every operation whose input includes a NaN returns NaN.
    So output pixels that are NaN depend on pixels beyond the boundary, whatever the weights of the
    network are. Only a strip of an image is needed because kernels are square. Then a tile of a
    random strip is compared with the whole strip. They differ if positions in the network depend on
    the size of its input, as they do where features are enlarged so that the corners of both grids
    coincide.

    Returns:
        A multiple of the divisor. None if each output pixel depends on the whole image or on the
        size of the image, for example because the network averages over the image.
    """
    network = networks.build(architecture).eval()
    divisor = architecture.divisor
    least = architecture.smallest_px
    length = 32 * divisor
    while length <= _LONGEST:
        half = length // 2
        reach = 0
        for flipped in (False, True):
            strip = torch.zeros(1, 1, least, length)
            strip[..., :half] = torch.nan
            with torch.inference_mode():
                result = network(strip.flip(-1) if flipped else strip)
            reached = torch.isnan(result.flip(-1) if flipped else result)[0].any(0).any(0)
            reach = max(reach, int(reached.nonzero().max()) + 1 - half)
        # If every pixel of the other half is NaN, the strip may be too short.
        if reach < half:
            reach = ceil(reach / divisor) * divisor
            return reach if _equals_its_tiles(network, least, length, reach) else None
        length *= 2
    return None


def _equals_its_tiles(network: nn.Module, height: int, length: int, reach: int) -> bool:
    """Return whether a tile of a random strip gives the result of the whole strip."""
    strip = torch.randn(1, 1, height, length, generator=torch.Generator().manual_seed(0))
    start = length // 4
    with torch.inference_mode():
        whole = network(strip)[..., start + reach :]
        tile = network(strip[..., start:])
    return bool((whole - tile[..., reach:]).abs().max() < 1e-3 * whole.std())
