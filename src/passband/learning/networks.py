"""Segmentation networks by name, with new random weights or with weights from a file."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from passband.config import architectures
from passband.config.architectures import Architecture
from passband.parts import STORED, PartError, Parts
from passband.storage import DamagedError
from passband.storage import weights as files
from passband.storage.weights import WeightsMetadata


def build(architecture: Architecture | str, seed: int = 0) -> nn.Module:
    """Return a network with new random weights.

    Args:
        architecture: The architecture, or the name of one of the package.

    Raises:
        ValueError: If the package has no architecture of this name.
        PartError: If the code of the architecture must not run, or makes no network.
    """
    if isinstance(architecture, str):
        architecture = architectures.parse(architecture)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = architecture.make()
    if not isinstance(made, nn.Module):
        raise PartError(f"{architecture.part}: makes {type(made).__name__}; must make nn.Module")
    return made


@cache
def _shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """Return the shapes of an architecture's weights and buffers, by the names of the tensors."""
    with torch.device("meta"):
        tensors = build(architecture).state_dict()
    return {key: tuple(tensor.shape) for key, tensor in tensors.items()}


def restore(architecture: Architecture | str, weights: dict[str, Tensor]) -> nn.Module:
    """Return a network of an architecture with the given weights, in evaluation mode."""
    network = build(architecture)
    network.load_state_dict({key: torch.as_tensor(value) for key, value in weights.items()})
    return network.eval()


def encoded(network: nn.Module, images: Tensor) -> list[Tensor]:
    """Return the feature maps of a network's encoder, the coarsest last, each (N, C, h, w).

    A network without a method ``encoder`` has one map: what its last layer with weights gets.
    """
    if hasattr(network, "encoder"):
        return network.encoder(images)
    seen: list[Tensor] = []
    layers = (each for each in network.modules() if [*each.parameters(recurse=False)])
    hooks = [
        layer.register_forward_pre_hook(lambda _, given: seen.append(given[0])) for layer in layers
    ]
    try:
        network(images)
    finally:
        for hook in hooks:
            hook.remove()
    return seen[-1:]


def load_first(
    path: str | Path, expected: Mapping[str, object] | None = None, parts: Parts = STORED
) -> tuple[nn.Module, WeightsMetadata]:
    """Return the network of a file's first replica, in evaluation mode, and its metadata.

    Parameters and errors are those of :func:`load`.
    """
    weights, metadata = load(path, expected, parts)
    architecture = architectures.parse(metadata.architecture, parts)
    return restore(architecture, next(iter(weights.values()))), metadata


def load(
    path: str | Path, expected: Mapping[str, object] | None = None, parts: Parts = STORED
) -> tuple[dict[int, dict[str, Tensor]], WeightsMetadata]:
    """Return a file's weights by replica, which fit the architecture, and the file's metadata.

    Args:
        path: A file that :func:`passband.storage.weights.save` wrote.
        expected: Names and values that the metadata of the file must have. If the file has networks
            of several training conditions, the value of `condition` chooses one of them.
        parts: The parts of the networks' study.

    Raises:
        StoreError: If the file is missing, damaged or changed, or has other networks. The message
            names the file.
        PartError: If the architecture is a part that is missing, or must not run.
    """
    weights, metadata = files.load(path, expected)
    check_shapes(path, weights, metadata, parts)
    return weights, metadata


def check_shapes(
    path: str | Path,
    weights: Mapping[int, Mapping[str, Tensor]],
    metadata: WeightsMetadata,
    parts: Parts = STORED,
) -> None:
    """Raise DamagedError if the weights in a file do not fit the architecture in its metadata.

    Raises:
        PartError: If the architecture is a part that is missing, or must not run. The message names
            the file and the part.
    """
    try:
        architecture = architectures.parse(metadata.architecture, parts)
        architecture.part.load()  # refused also if a study with the same code is trusted
        shapes = _shapes(architecture)
    except PartError as error:
        raise PartError(f"{path}: {error}") from None
    except ValueError as error:
        raise DamagedError(path, f"not a file of weights: {error}") from None
    for replica, state in weights.items():
        if {name: tuple(tensor.shape) for name, tensor in state.items()} != shapes:
            reason = f"the tensors of replica {replica} do not fit {metadata.architecture!r}"
            raise DamagedError(path, f"not a file of weights: {reason}")
