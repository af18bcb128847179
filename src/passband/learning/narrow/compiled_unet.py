"""Training steps and predictions of compact U-Nets on a CPU, by compiled functions.

Each network is computed alone, so its bits depend neither on the other networks of a job nor on the
number of threads.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.func import stack_module_state

from passband.config import Training
from passband.imaging.threads import share_images
from passband.learning.compact_unet import CompactUNet
from passband.learning.narrow.loss import loss_with_gradient
from passband.learning.narrow.passes import EPSILON, Arranged, Gradients, Layer, Passes, layers_of

# The optimizer computes 16 or 32 weights at a time.
_ROW = 64
#: Number of pixels that are predicted at a time.
_PREDICTED_TOGETHER = 2**15


@lru_cache(maxsize=8)
def _free_passes(layers: tuple[Layer, ...], images: int, side: int, gradients: bool) -> list:
    """Return the list of memory that no thread uses."""
    return []


class CompactNetworks:
    """Compact U-Nets that are trained in one job on a CPU.

    The first axis of all tensors is the network, as in :mod:`passband.learning.vectorized`. The
    number of channels at full resolution is a multiple of 4.
    """

    def __init__(self, modules: Sequence[CompactUNet]):
        weights, self._buffers = stack_module_state(list(modules))
        sizes = [weight[0].numel() for weight in weights.values()]
        # All weights of a network are a row of one tensor. Rows have whole vectors, so that the
        # optimizer rounds a weight in the same way for any number of networks.
        length = -(-sum(sizes) // _ROW) * _ROW
        self._all = torch.zeros(len(modules), length)
        stops = np.cumsum(sizes)
        self._places = {
            name: (slice(int(stop) - size, int(stop)), weight.shape)
            for (name, weight), size, stop in zip(weights.items(), sizes, stops, strict=True)
        }
        for name, view in self._named(self._all).items():
            view.copy_(weights[name].detach())
        self._all.requires_grad_()
        self._layers = layers_of(modules[0].head.in_channels, len(modules[0].up))
        self._found = Gradients(self._layers, len(modules))

    def _named(self, rows: Tensor) -> dict[str, Tensor]:
        """Return views of the rows of all weights, by the names of the weights."""
        return {name: rows[:, part].view(shape) for name, (part, shape) in self._places.items()}

    @property
    def parameters(self) -> dict[str, Tensor]:
        """The tensor that an optimizer changes."""
        return {"all": self._all}

    @property
    def gradients(self) -> dict[str, Tensor]:
        """Views of the gradients that :meth:`accumulate` has set, by the names of the weights."""
        return self._named(self._all.grad)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The networks' complete state: (R, …) views of weights and buffers, by name."""
        return self._named(self._all.detach()) | self._buffers

    def compile(self) -> None:
        """Do nothing, since all functions are compiled."""

    @property
    def _arrays(self) -> dict[str, np.ndarray]:
        return {name: tensor.numpy() for name, tensor in self.tensors.items()}

    def _head(self, arrays: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        return arrays["head.weight"].reshape(len(arrays["head.bias"]), -1), arrays["head.bias"]

    def _share(self, images: np.ndarray, gradients: bool, work: Callable) -> None:
        """Call `work` with memory and the number of each network, in as many threads as torch has.

        `images` has the shape (…, N, H, W).
        """
        *_, number, side, _ = images.shape
        free = _free_passes(tuple(self._layers), number, side, gradients)

        def run(places: Iterator[int]) -> None:
            try:
                passes = free.pop()
            except IndexError:
                passes = Passes(self._layers, number, side, gradients)
            for place in places:
                work(passes, place)
            free.append(passes)

        networks = len(self._found.bias)
        share_images(run, range(networks), networks * number * side**2)

    def accumulate(self, images: Tensor, masks: Tensor, settings: Training) -> Tensor:
        """Set the gradients of all weights in training mode, and return each network's loss (R,).

        `images` and `masks` are a batch of each network, (R, N, 1, H, W).
        """
        arrays, losses = self._arrays, torch.zeros(len(images))
        weights, head = Arranged(self._layers, arrays), self._head(arrays)
        pictures = images[:, :, 0].numpy()
        masks = masks.expand(len(images), *masks.shape[1:])
        for name, array in arrays.items():
            if name.endswith("num_batches_tracked"):
                array += 1

        def work(passes: Passes, place: int) -> None:
            logits = torch.from_numpy(passes.forward(pictures[place], weights, place, arrays, head))
            losses[place], slopes = loss_with_gradient(
                logits[None, :, None], masks[place : place + 1], settings
            )
            passes.backward(slopes[0, :, 0].numpy(), weights, place, head, self._found)

        self._share(pictures, True, work)
        self._all.grad = torch.zeros_like(self._all)
        found = self._found.named()
        for name, view in self.gradients.items():
            view.copy_(torch.from_numpy(found[name]).view(view.shape))
        return losses

    def predict(self, images: Tensor) -> Tensor:
        """Return (R, N, 1, H, W) logits of (N, 1, H, W) images, in evaluation mode."""
        return self.predictor()(images)

    def predictor(self) -> Callable[[Tensor], Tensor]:
        """Return a function that does the same as :meth:`predict`, for the present weights."""
        arrays, scales, shifts = self._arrays, {}, {}
        for layer in self._layers:
            norm = {key: arrays[f"{layer.norm}.{key}"] for key in ("weight", "bias")}
            running = {key: arrays[f"{layer.norm}.running_{key}"] for key in ("mean", "var")}
            scales[layer.norm] = norm["weight"] / np.sqrt(running["var"] + EPSILON)
            shifts[layer.norm] = norm["bias"] - running["mean"] * scales[layer.norm]
        weights, head = Arranged(self._layers, arrays, scales), self._head(arrays)

        def predict(images: Tensor) -> Tensor:
            pictures = images[:, 0].numpy()
            logits = np.empty((len(head[1]), *pictures.shape), np.float32)
            # Few images at a time, whose planes stay in the cache.
            step = max(1, _PREDICTED_TOGETHER // pictures[0].size)
            for start in range(0, len(pictures), step):
                part = pictures[start : start + step]

                def work(passes: Passes, place: int, start=start, part=part) -> None:
                    made = passes.predict(part, weights, place, shifts, head)
                    logits[place, start : start + step] = made

                self._share(part, False, work)
            return torch.from_numpy(logits)[:, :, None]

        return predict
