"""Device, precision and memory layout of networks, chosen for the machine when a job runs."""

import contextlib
import time
from contextlib import AbstractContextManager
from functools import cache

import torch
from torch import nn


def device(name: str = "auto") -> torch.device:
    """Return the device that computes. "auto" is a CUDA GPU if one is visible, else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


#: torch's data type for each precision.
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def precision(name: str, device: torch.device) -> str:
    """Return ``float32``, ``bfloat16`` or ``float16``. ``auto`` is the fastest of these three.

    For ``auto``, the precision depends on the processor's instruction set or on the GPU's compute
    capability. No time is measured, so that all jobs on one kind of device train in the same
    precision. torch computes bfloat16 on any processor, but without AVX-512 BF16 or AMX, bfloat16
    is slower than float32. GPUs compute float16 fast from compute capability 7.0 on, and bfloat16
    from compute capability 8.0 on. :func:`speedup` measures how much time a precision saves.
    """
    if name != "auto":
        return name
    if device.type == "cuda":
        capability = torch.cuda.get_device_capability(device)
        return (
            "bfloat16" if capability >= (8, 0) else "float16" if capability >= (7, 0) else "float32"
        )
    fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bfloat16" if fast else "float32"


def autocast(precision: str, device: torch.device) -> AbstractContextManager:
    """Return a context in which networks compute in a precision. Their weights stay float32."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, DTYPES[precision])


def layout(precision: str, device: torch.device) -> torch.memory_format:
    """Return the memory layout in which convolutions are fast.

    On a CPU, the layout is "channels last" in every precision. With this layout, a float32 training
    step of the compact U-Net takes two thirds of the time. On a GPU, the layout is "channels last"
    for bfloat16 and float16.
    """
    plain = precision == "float32" and device.type == "cuda"
    return torch.contiguous_format if plain else torch.channels_last


def ready(network: nn.Module, precision: str, device: torch.device) -> nn.Module:
    """Return the network on the device, in the device's fast layout and in evaluation mode."""
    return network.to(device, memory_format=layout(precision, device)).eval()


@cache
def share(jobs: int) -> None:
    """Leave this process its share of the processor's cores, if so many processes use them."""
    torch.set_num_threads(max(1, torch.get_num_threads() // jobs))


def synchronize(device: torch.device) -> None:
    """Wait until a GPU has finished its work. On a CPU, do nothing."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def speedup(precision: str, device: torch.device, rounds: int = 3) -> float:
    """Return the speed of convolutions and their gradients in a precision, relative to float32.

    3 × 3 convolutions of 32 channels at 64² pixels are timed alternately in float32 and in the
    given precision. The result is the ratio of the shortest times of all `rounds` rounds.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        images = torch.randn(8, 32, 64, 64, device=device)
        layers = [torch.nn.Conv2d(32, 32, 3, padding=1) for _ in range(2)]
    network = torch.nn.Sequential(*layers).to(device)

    def step(precision: str) -> float:
        network.to(memory_format=layout(precision, device))
        synchronize(device)
        started = time.perf_counter()
        with autocast(precision, device):
            total = (
                network(images.contiguous(memory_format=layout(precision, device))).float().sum()
            )
        total.backward()
        synchronize(device)
        return time.perf_counter() - started

    times = [(step("float32"), step(precision)) for _ in range(rounds + 1)][1:]
    slow, fast = (min(each) for each in zip(*times, strict=True))
    return slow / fast


def describe(device: torch.device) -> str:
    """Return a description of the kind of device, which is part of the provenance of results."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu ({torch.backends.cpu.get_cpu_capability()})"
