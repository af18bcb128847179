"""Compact U-Nets on a CPU, computed by functions that numba compiles.

Networks of few channels are computed as a whole in float32, and the normalisation, ReLU and pooling
of the others in bfloat16. :mod:`~passband.learning.narrow.known` lists the settings for which this
is right. Only :mod:`passband.learning.backend` imports this folder, and only what
is imported here.
"""

from passband.learning.narrow.compiled_unet import CompactNetworks
from passband.learning.narrow.known import unknown
from passband.learning.narrow.layers import fuse

__all__ = ["CompactNetworks", "fuse", "unknown"]
