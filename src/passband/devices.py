"""What the machine offers, chosen at run time."""

import torch


def device(name: str = "auto") -> torch.device:
    """Return the device to compute on: a CUDA GPU if one is visible, else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def precision(name: str, device: torch.device) -> str:
    """Return ``float32`` or ``bfloat16``; ``auto`` takes bfloat16 where it is fast.

    The processor's instruction set decides, not a timing, so that every job on one kind of device
    trains in the same precision: torch computes bfloat16 on any processor, but without AVX-512
    BF16 or AMX it is slower than float32.
    """
    if name != "auto":
        return name
    if device.type == "cuda":
        fast = torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bfloat16" if fast else "float32"


def describe(device: torch.device) -> str:
    """Return the device's kind in words, for provenance."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu ({torch.backends.cpu.get_cpu_capability()})"
