"""What computes a network, torch or compiled functions, and in which precision.

Compiled functions are faster than torch for compact U-Nets on a CPU. They are in the folder
``narrow``. To do without them, delete the folder, and write ``CompactNetworks = fuse = None`` in
place of the line that imports it. Then torch computes all networks, in the same precision.
"""

import platform
from collections.abc import Callable, Sequence

import llvmlite.binding
import torch
from torch import Tensor, nn

from passband.config import architectures
from passband.learning import devices
from passband.learning.narrow import CompactNetworks, fuse
from passband.learning.networks import CompactUNet

#: Networks with more channels at full resolution are trained by torch, which is faster with them.
WIDEST = 4

_FUSED = llvmlite.binding.get_host_cpu_features().get("fma")

#: Whether the processor multiplies and adds vectors in one instruction. Without this instruction,
#: compiled functions would be slower than torch.
FAST = bool(_FUSED) or platform.machine().lower() in ("aarch64", "arm64")


def precision(name: str, architecture: str, device: torch.device) -> str:
    """Return the precision in which networks are trained, see :func:`devices.precision`.

    ``auto`` is float32 for the networks that compiled functions compute, since they are faster in
    float32 than torch is in bfloat16.
    """
    if name == "auto" and _narrow(architecture, device):
        return "float32"
    return devices.precision(name, device)


def compiles(architecture: str, precision: str, device: torch.device) -> bool:
    """Return whether compiled functions compute networks of an architecture in a precision."""
    return CompactNetworks is not None and precision == "float32" and _narrow(architecture, device)


def _narrow(architecture: str, device: torch.device) -> bool:
    compact = architectures.parse(architecture)
    return isinstance(compact, architectures.Compact) and _fits(compact.width, device)


def _fits(width: int, device: torch.device) -> bool:
    """Return whether compiled functions, which compute four channels at a time, are faster."""
    return device.type == "cpu" and FAST and width % 4 == 0 and width <= WIDEST


def predictor(
    networks: Sequence[nn.Module], precision: str, device: torch.device
) -> Callable[[Tensor], Tensor] | None:
    """Return a function of (N, 1, H, W) images whose result is (R, N, 1, H, W) logits.

    Returns:
        The compiled function, or None if torch must compute the networks.
    """
    compact = all(isinstance(network, CompactUNet) for network in networks)
    if CompactNetworks is None or precision != "float32" or not compact:
        return None
    if not _fits(networks[0].head.in_channels, device):
        return None
    return CompactNetworks(networks).predictor()


def fused(network: nn.Module, precision: str) -> list[nn.Module]:
    """Let compiled functions compute layers of a network, and return the changed layers."""
    if fuse is None or not FAST or precision != "bfloat16" or not isinstance(network, CompactUNet):
        return []
    return fuse(network)
