"""What computes a network, torch or compiled functions, and in which precision.

Compiled functions are faster than torch for compact U-Nets on a CPU. They are in the folder
``narrow``, which lists the settings that they know. If a study has another setting, torch trains
its networks, in torch's precision. The precision, and with it the memory and the time of jobs, is
decided after the list was asked.

To do without compiled functions, delete the folder, and write ``CompactNetworks = fuse = unknown =
None`` in place of the line that imports it. Then torch computes all networks, in the same precision
as with the folder where that knows all settings.
"""

import platform
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeGuard

import llvmlite.binding
import torch
from torch import Tensor, nn

from passband.config import Training
from passband.learning import devices
from passband.learning.architectures.compact import Compact
from passband.learning.compact_unet import CompactUNet
from passband.learning.narrow import CompactNetworks, fuse, unknown

#: Networks with more channels at full resolution are trained by torch, which is faster with them.
WIDEST = 4

_FUSED = llvmlite.binding.get_host_cpu_features().get("fma")

#: Whether the processor multiplies and adds vectors in one instruction. Without this instruction,
#: compiled functions would be slower than torch.
FAST = bool(_FUSED) or platform.machine().lower() in ("aarch64", "arm64")


def precision(training: Training, architecture: str, device: torch.device) -> str:
    """Return the precision in which networks are trained, see :func:`devices.precision`.

    ``auto`` is float32 for the networks that compiled functions compute, since they are faster in
    float32 than torch is in bfloat16.
    """
    if training.precision == "auto" and _compilable(training, architecture, device):
        return "float32"
    return devices.precision(training.precision, device)


def compiles(training: Training, architecture: str, device: torch.device) -> bool:
    """Return whether compiled functions train networks of an architecture."""
    if CompactNetworks is None or precision(training, architecture, device) != "float32":
        return False
    return _compilable(training, architecture, device)


def hindrance(training: Training, architecture: str, device: torch.device) -> str:
    """Return a line that says why torch trains networks that compiled functions would train.

    The line names a setting that they do not know. It is "" where there is none, and where torch
    would train the networks anyway.
    """
    if unknown is None or training.precision not in ("auto", "float32"):
        return ""
    known = _described(training, architecture)
    setting = unknown(known, training) if _narrow(known, device) else ""
    reason = f"{architecture} by torch, since compiled functions do not know {setting}"
    return reason if setting else ""


def _compilable(training: Training, architecture: str, device: torch.device) -> bool:
    known = _described(training, architecture)
    return _narrow(known, device) and not (unknown and unknown(known, training))


def _described(training: Training, architecture: str) -> object:
    """Return what an architecture of the package says of itself; None for a study's own."""
    found = training.architecture(architecture)
    return None if found.part.is_own else found.described


def _narrow(architecture: object, device: torch.device) -> TypeGuard[Compact]:
    """Return whether compiled functions, which compute four channels at a time, are faster."""
    if not isinstance(architecture, Compact):
        return False
    width = architecture.width
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
    architecture = networks[0].architecture
    if not _narrow(architecture, device) or unknown(architecture):
        return None
    return CompactNetworks(networks).predictor()


def fused(network: nn.Module, precision: str) -> list[nn.Module]:
    """Let compiled functions compute layers of a network, and return the changed layers."""
    if fuse is None or not FAST or precision != "bfloat16" or not isinstance(network, CompactUNet):
        return []
    # Layers for further outputs are of kinds that the functions know.
    known = replace(network.architecture, outputs=1)
    return [] if unknown(known) else fuse(network)
