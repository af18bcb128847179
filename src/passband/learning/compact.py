"""Training steps and predictions of compact U-Nets on a CPU, by compiled functions.

The functions of :mod:`passband.learning.kernels` compute the network of
:class:`passband.learning.networks.CompactUNet` and its gradients. Each network is computed alone,
so its bits depend neither on the other networks of a job nor on the number of threads.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import stack_module_state

from passband.config import Training, architectures
from passband.imaging.threads import share_images
from passband.learning import devices, lanes
from passband.learning.kernels import Plan, aligned, blocks, kernels
from passband.learning.losses import loss_with_gradient
from passband.learning.networks import CompactUNet

#: torch's defaults of batch normalisation: what is added to the variance, and the share of a new
#: batch in the running statistics.
EPSILON, MOMENTUM = 1e-5, 0.1
#: Networks with more channels at full resolution are trained by torch, which is faster with them.
WIDEST = 8
# The optimizer computes 16 or 32 weights at a time.
_ROW = 64
#: Number of pixels that are predicted at a time.
_PREDICTED_TOGETHER = 2**15


def precision(name: str, architecture: str, device: torch.device) -> str:
    """Return the precision in which networks are trained, see :func:`devices.precision`.

    ``auto`` is float32 if this module computes the networks, since it is faster in float32 than
    torch is in bfloat16.
    """
    if name == "auto" and applies(architecture, "float32", device):
        return "float32"
    return devices.precision(name, device)


def applies(architecture: str, precision: str, device: torch.device) -> bool:
    """Return whether this module computes networks of an architecture in a precision.

    The compiled functions compute four channels at a time, and are fast with few channels. Without
    an instruction that multiplies and adds, they would be slower than torch.
    """
    compact = architectures.parse(architecture)
    return isinstance(compact, architectures.Compact) and _applies(compact.width, precision, device)


def _applies(width: int, precision: str, device: torch.device) -> bool:
    fits = width % 4 == 0 and width <= WIDEST
    return device.type == "cpu" and precision == "float32" and lanes.FAST and fits


def can_predict(networks: Sequence[nn.Module], precision: str, device: torch.device) -> bool:
    """Return whether :class:`CompactNetworks` predicts what these networks predict."""
    return all(isinstance(network, CompactUNet) for network in networks) and _applies(
        networks[0].head.in_channels, precision, device
    )


# Which of the three rows of a 3 × 3 kernel meet each of two rows of half the resolution, at an even
# and at an odd row: the rows before and at the pixel, or the rows at and after the pixel.
_MEETS = np.array([[[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]], np.float32)
#: (4, 4, 9): which weights of a 3 × 3 kernel are added for each quarter of the pixels and each tap.
_QUARTERS = np.einsum("ita,jub->ijtuab", _MEETS, _MEETS).reshape(4, 4, 9)


@dataclass(frozen=True)
class _Layer:
    """A convolution with batch normalisation.

    Attributes
    ----------
    convolution, norm : str
        Names of the two layers in the network.
    level : int
        How many times the resolution is halved.
    inputs, joined, outputs : int
        Number of input channels of this resolution, of half the resolution, and of output channels.
    """

    convolution: str
    norm: str
    level: int
    inputs: int
    joined: int
    outputs: int


def _layers(width: int, depth: int) -> list[_Layer]:
    """Return the layers in their order. The first 2·depth + 2 of them are the encoder."""
    channels, found = [width * 2**level for level in range(depth + 1)], []

    def block(name: str, level: int, inputs: int, joined: int) -> None:
        out = channels[level]
        found.append(_Layer(f"{name}.0.weight", f"{name}.1", level, inputs, joined, out))
        found.append(_Layer(f"{name}.3.weight", f"{name}.4", level, out, 0, out))

    for level in range(depth + 1):
        block(f"down.{level}", level, channels[level - 1] if level else 1, 0)
    for number, level in enumerate(reversed(range(depth))):
        block(f"up.{number}", level, channels[level], channels[level + 1])
    return found


class _Arranged:
    """The weights of networks in the order in which the compiled functions need them.

    Parameters
    ----------
    layers : sequence of _Layer
        The layers.
    weights : mapping of str to array
        The weights of R networks, by name.
    scales : mapping of str to (R, channels) array, optional
        Factors of each convolution's output channels, by the name of the normalisation.
    """

    def __init__(self, layers: Sequence[_Layer], weights: dict, scales: dict | None = None):
        self.forward, self.backward, self.quarters, self.quarters_backward = {}, {}, {}, {}
        for layer in layers:
            w = weights[layer.convolution]
            w = w.reshape(*w.shape[:3], 9)  # network, output, input, tap
            if scales is not None:
                w = w * scales[layer.norm][:, :, None, None]
            own, other = w[:, :, : layer.inputs], w[:, :, layer.inputs :]
            self.forward[layer] = _rows(own)
            if scales is None and layer.inputs > 1:  # the image has no gradient
                self.backward[layer] = _rows(own.swapaxes(1, 2))
            if layer.joined:
                quarters = np.einsum("roik,qtk->rqoit", other, _QUARTERS)
                self.quarters[layer] = _rows(quarters)
                if scales is None:
                    self.quarters_backward[layer] = _rows(quarters.swapaxes(2, 3))


def _rows(weights: np.ndarray) -> np.ndarray:
    """Return the weights of each network in the order of the compiled convolution."""
    return blocks(weights).reshape(len(weights), -1)


@dataclass
class _Node:
    """A layer with its planes.

    Attributes
    ----------
    layer : _Layer
        The layer.
    plan, half : Plan
        The positions of pixels at the layer's resolution, and at half of it.
    x, below : array
        Input planes; `below` has half the resolution and exists only where the layer joins two.
    convolved, activated : array
        The result of the convolution, and the layer's output.
    quarters : array, optional
        Planes of half the resolution, for a layer that joins.
    source : _Node, optional
        The layer whose output is pooled to `x`.
    gradient, x_gradient, below_gradient : array, optional
        Gradients of `activated`, `x` and `below`. The image has no gradient.
    """

    layer: _Layer
    plan: Plan
    half: Plan | None
    x: np.ndarray
    below: np.ndarray | None
    convolved: np.ndarray
    activated: np.ndarray
    quarters: np.ndarray | None
    source: "_Node | None"
    gradient: np.ndarray | None = None
    x_gradient: np.ndarray | None = None
    below_gradient: np.ndarray | None = None

    def __post_init__(self):
        self.constants = np.zeros((self.layer.outputs, 3), np.float32)
        self.factors = np.zeros((self.layer.outputs, 4))
        for name in ("x", "convolved", "activated", "gradient", "x_gradient"):
            planes = getattr(self, name)
            if planes is not None:
                setattr(self, f"{name}_pixels", self.plan.pixels(planes))
        if self.layer.joined:
            steps, row = ((-1, 0), (0, 1)), self.half.row  # see _MEETS
            self.quarter_taps = np.array(
                [[y * row + x for y in steps[i] for x in steps[j]] for i in (0, 1) for j in (0, 1)]
            )
            self.quarter_pixels = self.half.pixels(self.quarters)


class _Passes:
    """The memory of one network's step, and its passes through the layers.

    The memory is used again for every network and every step.

    Parameters
    ----------
    layers : sequence of _Layer
        The network's layers.
    images, side : int
        Number of images, and pixels along an image's side.
    gradients : bool
        Whether there is a backward pass.
    """

    def __init__(self, layers: Sequence[_Layer], images: int, side: int, gradients: bool):
        plans = [Plan(images, side >> level) for level in range(max(x.level for x in layers) + 1)]
        self.plan = plans[0]
        self._image, self._logits = self.plan.planes(1), self.plan.planes(1)
        self._image_pixels = self.plan.pixels(self._image)
        self._logit_pixels = self.plan.pixels(self._logits)
        x, x_gradient, self._nodes, skips = self._image, None, [], []
        for layer in layers:
            plan, source, below, below_gradient = plans[layer.level], None, None, None
            if self._nodes and layer.level > self._nodes[-1].layer.level:
                source = self._nodes[-1]
                skips.append(source)
                x = plan.planes(layer.inputs)
                x_gradient = plan.planes(layer.inputs) if gradients else None
            if layer.joined:
                below, below_gradient = x, x_gradient
                x, x_gradient = (skip := skips.pop()).activated, skip.gradient
            activated = plan.planes(layer.outputs)
            node = _Node(
                layer,
                plan,
                plans[layer.level + 1] if layer.joined else None,
                x,
                below,
                plan.planes(layer.outputs) if gradients else activated,
                activated,
                plans[layer.level + 1].planes(4 * layer.outputs) if layer.joined else None,
                source,
                plan.planes(layer.outputs) if gradients else None,
                x_gradient,
                below_gradient,
            )
            self._nodes.append(node)
            x, x_gradient = activated, node.gradient

    def _convolutions(
        self, images: np.ndarray, weights: _Arranged, place: int, shifts: dict | None
    ) -> Iterator[_Node]:
        """Yield every layer after its convolution of `images`, (N, H, W)."""
        self._image_pixels[0] = images
        for node in self._nodes:
            layer, plan, half = node.layer, node.plan, node.half
            if node.source:
                kernels.pool(node.source.activated_pixels, node.x_pixels)
            bias = _zeros(layer.outputs) if shifts is None else shifts[layer.norm][place]
            out, adds = node.convolved.reshape(-1), layer.joined > 0
            if layer.joined:
                kernels.convolve(
                    node.below.reshape(-1), weights.quarters[layer][place], node.quarter_taps,
                    half.mask, node.quarters.reshape(-1), layer.joined, layer.outputs,
                    half.length, half.first, half.number, 0, layer.outputs, bias, False, False,
                )  # fmt: skip
                kernels.interleave(node.quarter_pixels, node.convolved_pixels)
            kernels.convolve(
                node.x.reshape(-1), weights.forward[layer][place], plan.taps, plan.mask, out,
                layer.inputs, layer.outputs, plan.length, plan.first, plan.number,
                0, 0, bias, adds, shifts is not None,
            )  # fmt: skip
            yield node

    def predict(
        self, images: np.ndarray, weights: _Arranged, place: int, shifts: dict, head: tuple
    ) -> np.ndarray:
        """Return (N, H, W) logits in evaluation mode.

        `shifts` has what each normalisation adds after its factor, which is in `weights`.
        """
        for _ in self._convolutions(images, weights, place, shifts):
            pass
        return self._head(place, head)

    def forward(
        self, images: np.ndarray, weights: _Arranged, place: int, state: dict, head: tuple
    ) -> np.ndarray:
        """Return (N, H, W) logits in training mode, and update the running statistics."""
        for node in self._convolutions(images, weights, place, None):
            plan, name = node.plan, node.layer.norm
            keys = "weight", "bias", "running_mean", "running_var"
            kernels.normalise(
                node.convolved, *(state[f"{name}.{key}"][place] for key in keys), plan.mask,
                node.activated, node.factors, node.constants, plan.first, plan.number,
                plan.pixel_number, MOMENTUM, EPSILON,
            )  # fmt: skip
        return self._head(place, head)

    def _head(self, place: int, head: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        weight, bias = head
        np.dot(weight[place], self._nodes[-1].activated, out=self._logits[0])
        return self._logit_pixels[0] + bias[place]

    def backward(
        self, slopes: np.ndarray, weights: _Arranged, place: int, head: tuple, found: "_Gradients"
    ) -> None:
        """Write the gradients of a network's weights to `found`.

        `slopes` is the gradient of the (N, H, W) logits of the last :meth:`forward`.
        """
        last, sums = self._nodes[-1], np.zeros(self._nodes[-1].layer.outputs)
        self._logit_pixels[0] = slopes
        self._logits *= self.plan.mask
        kernels.add_products(
            last.activated, self._logits[0], sums, self.plan.first, self.plan.number
        )
        found.head[place], found.bias[place] = sums, slopes.sum(dtype=np.float64)
        np.multiply(head[0][place][:, None], self._logits, out=last.gradient)
        for node in reversed(self._nodes):
            self._through_layer(node, weights, place, found)

    def _through_layer(
        self, node: _Node, weights: _Arranged, place: int, found: "_Gradients"
    ) -> None:
        layer, plan, half, g = node.layer, node.plan, node.half, node.gradient
        kernels.normalise_back(
            g, node.convolved, node.factors, plan.mask, found.scales[layer][place],
            found.shifts[layer][place], node.constants, plan.first, plan.number, plan.pixel_number,
        )  # fmt: skip
        own = found.own[layer][place]
        own[:] = 0
        kernels.correlate3(
            g.reshape(-1), node.x.reshape(-1), plan.taps[0], own, layer.inputs, layer.outputs,
            plan.length, plan.first, plan.number,
        )  # fmt: skip
        if node.x_gradient is not None:
            kernels.convolve(
                g.reshape(-1), weights.backward[layer][place], plan.back_taps, plan.mask,
                node.x_gradient.reshape(-1), layer.outputs, layer.inputs, plan.length, plan.first,
                plan.number, 0, 0, _zeros(layer.inputs), False, False,
            )  # fmt: skip
        if layer.joined:
            kernels.separate(node.gradient_pixels, node.quarter_pixels)
            sums, flat = found.quarters[layer][place], node.quarters.reshape(-1)
            sums[:] = 0
            kernels.correlate2(
                flat, node.below.reshape(-1), node.quarter_taps, sums, layer.joined, layer.outputs,
                half.length, half.first, half.number,
            )  # fmt: skip
            kernels.convolve(
                flat, weights.quarters_backward[layer][place], -node.quarter_taps, half.mask,
                node.below_gradient.reshape(-1), layer.outputs, layer.joined, half.length,
                half.first, half.number, layer.outputs, 0, _zeros(layer.joined), False, False,
            )  # fmt: skip
        if node.source:
            source = node.source
            kernels.add_pooled(
                node.x_gradient_pixels, source.activated_pixels, node.x_pixels,
                source.gradient_pixels,
            )  # fmt: skip


@lru_cache
def _zeros(number: int) -> np.ndarray:
    return np.zeros(number, np.float32)


class _Gradients:
    """The gradients of R networks' weights, in the order of the compiled functions."""

    def __init__(self, layers: Sequence[_Layer], number: int):
        self.own, self.quarters, self.scales, self.shifts = {}, {}, {}, {}
        for layer in layers:
            self.own[layer] = aligned(number, layer.inputs * 9 * layer.outputs * lanes.LANES)
            self.scales[layer] = np.zeros((number, layer.outputs), np.float32)
            self.shifts[layer] = np.zeros((number, layer.outputs), np.float32)
            if layer.joined:
                size = layer.joined * 4 * layer.outputs * lanes.LANES
                self.quarters[layer] = aligned(number, 4 * size)
        self.head = np.zeros((number, layers[-1].outputs), np.float32)
        self.bias = np.zeros((number, 1), np.float32)

    def named(self) -> dict[str, np.ndarray]:
        """Return the gradients by the names of the networks' weights."""
        number = len(self.bias)
        found = {"head.weight": self.head, "head.bias": self.bias}
        for layer in self.scales:
            found[f"{layer.norm}.weight"] = self.scales[layer]
            found[f"{layer.norm}.bias"] = self.shifts[layer]
            shape = number, layer.inputs, 9, layer.outputs, lanes.LANES
            parts = [self.own[layer].reshape(shape).sum(-1).transpose(0, 3, 1, 2)]
            if layer.joined:
                shape = number, 4, layer.joined, 4, layer.outputs, lanes.LANES
                sums = self.quarters[layer].reshape(shape).sum(-1)
                parts.append(np.einsum("rqito,qtk->roik", sums, _QUARTERS))
            found[layer.convolution] = np.concatenate(parts, 2)
        return found


@lru_cache(maxsize=8)
def _free_passes(layers: tuple[_Layer, ...], images: int, side: int, gradients: bool) -> list:
    """Return the list of memory that no thread uses."""
    return []


class CompactNetworks:
    """Compact U-Nets that are trained in one job on a CPU.

    The first axis of all tensors is the network, as in :mod:`passband.learning.vectorized`.

    Parameters
    ----------
    modules : sequence of R CompactUNets
        Networks of one architecture, for which :func:`applies` is true.
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
        self._layers = _layers(modules[0].head.in_channels, len(modules[0].up))
        self._found = _Gradients(self._layers, len(modules))

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
                passes = _Passes(self._layers, number, side, gradients)
            for place in places:
                work(passes, place)
            free.append(passes)

        networks = len(self._found.bias)
        share_images(run, range(networks), networks * number * side**2)

    def accumulate(self, images: Tensor, masks: Tensor, settings: Training) -> Tensor:
        """Set the gradients of all weights in training mode, and return each network's loss.

        Parameters
        ----------
        images, masks : (R, N, 1, H, W) tensors
            A batch of each network.
        settings : Training
            The settings of the loss.

        Returns
        -------
        (R,) float32 tensor
            The losses.
        """
        arrays, losses = self._arrays, torch.zeros(len(images))
        weights, head = _Arranged(self._layers, arrays), self._head(arrays)
        pictures = images[:, :, 0].numpy()
        masks = masks.expand(len(images), *masks.shape[1:])
        for name, array in arrays.items():
            if name.endswith("num_batches_tracked"):
                array += 1

        def work(passes: _Passes, place: int) -> None:
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
        weights, head = _Arranged(self._layers, arrays, scales), self._head(arrays)

        def predict(images: Tensor) -> Tensor:
            pictures = images[:, 0].numpy()
            logits = np.empty((len(head[1]), *pictures.shape), np.float32)
            # Few images at a time, whose planes stay in the cache.
            step = max(1, _PREDICTED_TOGETHER // pictures[0].size)
            for start in range(0, len(pictures), step):
                part = pictures[start : start + step]

                def work(passes: _Passes, place: int, start=start, part=part) -> None:
                    made = passes.predict(part, weights, place, shifts, head)
                    logits[place, start : start + step] = made

                self._share(part, False, work)
            return torch.from_numpy(logits)[:, :, None]

        return predict
