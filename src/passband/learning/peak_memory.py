"""The peak memory of a network, counted by running the code of training without numbers."""

import weakref

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from passband.config import Training
from passband.config.architectures import Architecture
from passband.learning import networks
from passband.learning.losses import entropy_dice
from passband.learning.vectorized import SingleNetwork

#: The side of images [pixels].
PX = 128
#: Numbers of images in a batch. In smaller batches, the weights would need most of the memory.
BATCHES = (32, 64)
#: The side of images on the CPU, where tensors have numbers [pixels].
_CPU_PX = 32
#: Numbers of images in a batch on the CPU.
_CPU_BATCHES = (4, 8)


class Peak(TorchDispatchMode):
    """Adds the bytes of the storages of all tensors that exist, and remembers the highest sum."""

    def __init__(self):
        super().__init__()
        self._alive: dict[int, weakref.ref] = {}
        self._now = self.highest = 0

    def add(self, tensor: torch.Tensor) -> None:
        """Count the storage of a tensor, unless the storage is counted already."""
        storage = tensor.untyped_storage()
        place, size = storage._cdata, storage.nbytes()
        if place in self._alive:
            return

        def gone(_) -> None:
            del self._alive[place]
            self._now -= size

        self._alive[place] = weakref.ref(storage, gone)
        self._now += size
        self.highest = max(self.highest, self._now)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self.add(tensor)
        return result


def peak_bytes(
    architecture: Architecture | str, px: int, settings: Training, device: str = "meta"
) -> int:
    """Return the peak memory of a float32 network in a training step and in validation [bytes].

    The loss is that of the package, and further outputs are compared with as many numbers. The
    optimizer's moments and the best epoch's weights are not counted.

    Args:
        device: On torch's ``meta`` device, tensors have a shape but no content.
    """
    learning = SingleNetwork(networks.build(architecture).to(device))
    with torch.device(device), Peak() as peak:
        for tensor in learning.tensors.values():
            peak.add(tensor)
        masks = torch.zeros(1, settings.batch_size, 1, px, px)
        logits = learning.forward(masks.clone())
        _loss(logits, masks, settings).backward()
        del logits, masks
        with torch.inference_mode():
            masks = torch.zeros(4 * settings.batch_size, 1, px, px)
            logits = learning.predict(masks.clone())
            _loss(logits, masks, settings)
    return peak.highest


def _loss(logits: torch.Tensor, masks: torch.Tensor, settings: Training) -> torch.Tensor:
    if logits.shape[2] == 1:
        return entropy_dice(logits, masks, settings).sum()
    found = entropy_dice(logits[:, :, :1], masks, settings).sum()
    further = logits[:, :, 1:]
    error = nn.functional.smooth_l1_loss(further, torch.zeros_like(further), reduction="none")
    return found + (error * masks).sum()


def count(architecture: Architecture) -> tuple[int, float]:
    """Return the number of weights, and the growth of the peak memory with each pixel [bytes].

    A network that makes tensors with numbers in its forward pass is counted on the CPU, with
    smaller images.
    """
    weights = sum(p.numel() for p in networks.build(architecture).parameters())
    try:
        return weights, _per_pixel(architecture, PX, BATCHES, "meta")
    except (RuntimeError, NotImplementedError):
        return weights, architecture.part.call(
            _per_pixel, architecture, _CPU_PX, _CPU_BATCHES, "cpu"
        )


def _per_pixel(architecture: Architecture, px: int, batches: tuple[int, int], device: str) -> float:
    divisor = architecture.divisor
    side = -(-max(px, architecture.smallest_px) // divisor) * divisor
    few, many = (peak_bytes(architecture, side, Training(batch_size=n), device) for n in batches)
    return (many - few) / (batches[1] - batches[0]) / side**2
