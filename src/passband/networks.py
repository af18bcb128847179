"""Segmentation networks by name, and their weights on disk."""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from passband import architectures
from passband.seeds import digest
from passband.store import DamagedError, StoreError, check_attributes, is_unreachable, replacing


class CompactUNet(nn.Module):
    """A U-Net (Ronneberger et al. 2015) with batch normalisation and nearest-neighbour upsampling.

    Takes (N, 1, H, W) images and gives (N, 1, H, W) logits; H and W must be multiples of 2**depth.

    Parameters
    ----------
    width : int
        Channels at full resolution; they double at every halving.
    depth : int
        Number of halvings.
    """

    def __init__(self, width: int, depth: int):
        super().__init__()
        channels = [width * 2**level for level in range(depth + 1)]
        inputs = [1, *channels[:-1]]
        self.down = nn.ModuleList(_block(i, o) for i, o in zip(inputs, channels, strict=True))
        self.up = nn.ModuleList(
            _block(channels[level] + channels[level + 1], channels[level])
            for level in reversed(range(depth))
        )
        self.head = nn.Conv2d(width, 1, 1)

    def encoder(self, x: Tensor) -> list[Tensor]:
        """Return the features at every resolution, the coarsest last, as smp's encoders do."""
        features = [self.down[0](x)]
        for block in self.down[1:]:
            features.append(block(nn.functional.max_pool2d(features[-1], 2)))
        return features

    def forward(self, x: Tensor) -> Tensor:
        *skips, x = self.encoder(x)
        for convolution, *rest in self.up:
            x = _joined(convolution, skips.pop(), x)
            for layer in rest:
                x = layer(x)
        return self.head(x)


def _joined(layer: nn.Conv2d, skip: Tensor, x: Tensor) -> Tensor:
    """Return the convolution of `skip` and, beside it, of `x` doubled by nearest neighbours.

    It is that of `skip` plus a transposed one of `x`, whose four taps a pixel are sums of the nine
    that fall on equal pixels: nothing is doubled or joined, and a step of training on a CPU takes
    a tenth (bfloat16) to a fifth (float32) less time.

    Parameters
    ----------
    layer : Conv2d
        Without bias, 3 × 3 and padded by 1; its first channels are those of `skip`.
    skip, x : (N, C, H, W) and (N, C', H/2, W/2) tensors
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


def build(name: str, seed: int = 0) -> nn.Module:
    """Return a network with freshly drawn weights.

    Parameters
    ----------
    name : str
        An architecture's name, see :mod:`passband.architectures`.
    seed : int
        Seed of the initial weights.

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    architecture = architectures.parse(name)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if isinstance(architecture, architectures.Compact):
            return CompactUNet(architecture.width, architecture.depth)
        # Imported here because it takes seconds and the compact networks do without.
        import segmentation_models_pytorch as smp

        return smp.create_model(
            architecture.decoder,
            architecture.encoder,
            encoder_weights=None,
            in_channels=1,
            classes=1,
        )


def restore(name: str, weights: dict[str, Tensor]) -> nn.Module:
    """Return the network of an architecture with the given weights, ready to predict."""
    network = build(name)
    network.load_state_dict(weights)
    return network.eval()


def fingerprint(weights: dict[int, dict[str, Tensor]]) -> str:
    """Return hexadecimal digits that stand for the weights of replicas."""
    hashed = hashlib.blake2b(digest_size=8)
    for replica, state in sorted(weights.items()):
        for name, tensor in sorted(state.items()):
            hashed.update(f"{replica}/{name}".encode())
            hashed.update(tensor.cpu().contiguous().numpy().data)
    return hashed.hexdigest()


def save(
    weights: dict[int, dict[str, Tensor]], path: str | Path, metadata: dict[str, object]
) -> None:
    """Write the weights of replicas to one safetensors file, whole or not at all.

    Parameters
    ----------
    weights : dict of int to state dict
        Replica to its weights; tensors are stored as ``{replica}/{name}``.
    path : path
        The file.
    metadata : dict
        What to keep beside them, such as the architecture; values must be JSON's.
    """
    tensors = {
        f"{replica}/{name}": tensor.detach().cpu().contiguous()
        for replica, state in weights.items()
        for name, tensor in state.items()
    }
    with replacing(path) as beside:
        write(tensors, beside, metadata)


def load(
    path: str | Path, expected: Mapping[str, object] | None = None
) -> tuple[dict[int, dict[str, Tensor]], dict]:
    """Return the weights and metadata that :func:`save` wrote. No code in the file is run.

    Parameters
    ----------
    path : path
        The file.
    expected : mapping, optional
        Metadata that it must have.

    Raises
    ------
    StoreError
        If the file is missing, torn, changed or of other networks; the message names it.
    """
    weights: dict[int, dict[str, Tensor]] = {}
    tensors, metadata = read(path)
    for key, tensor in tensors.items():
        replica, _, name = key.partition("/")
        if not replica.isdigit():
            raise DamagedError(path, f"not a file of weights: it holds {key!r}")
        weights.setdefault(int(replica), {})[name] = tensor
    check_attributes(path, metadata, expected)
    # Keys come out of the file in the order of strings: replica 10 before replica 9.
    return dict(sorted(weights.items())), metadata


def holds(path: str | Path, context: str) -> dict | None:
    """Return a file's metadata if it is whole and its `context` is the given one, else None."""
    try:
        _, metadata = read(path)
    except StoreError:
        return None
    return metadata if metadata.get("context") == context else None


def write(tensors: dict[str, Tensor], path: Path, metadata: dict[str, object]) -> None:
    """Write tensors, contiguous and on the CPU, and metadata to a safetensors file.

    Metadata are written as JSON, with a checksum over everything: safetensors has none.
    """
    texts = {name: json.dumps(value) for name, value in metadata.items()}
    checksum = {"checksum": digest(texts, fingerprint({0: tensors}))}
    try:
        save_file(tensors, path, texts | checksum)
    except SafetensorError as error:
        # safetensors puts the operating system's number into words.
        if found := re.search(r"(?:os error |code: )(\d+)", str(error)):
            raise OSError(int(found[1]), os.strerror(int(found[1])), str(path)) from None
        raise


def read(path: str | Path) -> tuple[dict[str, Tensor], dict]:
    """Return the tensors and metadata that :func:`write` wrote; errors are those of `load`."""
    try:
        with safe_open(path, framework="pt") as file:
            texts = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        checksum = texts.pop("checksum", None)
        if checksum != digest(texts, fingerprint({0: tensors})):
            raise ValueError("its checksum is another")
        return tensors, {name: json.loads(text) for name, text in texts.items()}
    except (SafetensorError, ValueError, OSError) as error:
        if not Path(path).exists():
            raise StoreError(f"{path}: no such file of weights") from None
        if is_unreachable(error, Path(path)):
            raise StoreError(f"{path}: cannot be read: {error}; run again") from None
        raise DamagedError(path, f"not a whole file of weights: {error}") from None
