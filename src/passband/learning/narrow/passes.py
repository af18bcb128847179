"""The passes of a compact U-Net through its layers, forward and backward, by compiled functions.

The functions are those of :mod:`passband.learning.narrow.kernels`, and the network is the one of
:class:`passband.learning.compact_unet.CompactUNet`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from passband.learning.narrow import simd
from passband.learning.narrow.kernels import Plan, aligned, blocks, kernels

#: torch's defaults of batch normalisation: what is added to the variance, and the share of a new
#: batch in the running statistics.
EPSILON, MOMENTUM = 1e-5, 0.1

# Which of the three rows of a 3 × 3 kernel meet each of two rows of half the resolution, at an even
# and at an odd row: the rows before and at the pixel, or the rows at and after the pixel.
_MEETS = np.array([[[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]], np.float32)
#: (4, 4, 9): which weights of a 3 × 3 kernel are added for each quarter of the pixels and each tap.
_QUARTERS = np.einsum("ita,jub->ijtuab", _MEETS, _MEETS).reshape(4, 4, 9)


@dataclass(frozen=True)
class Layer:
    """A convolution with batch normalisation.

    Attributes:
        convolution, norm: Names of the two layers in the network.
        level: How many times the resolution is halved.
        inputs, joined, outputs: Number of input channels of this resolution, of half the
            resolution, and of output channels.
    """

    convolution: str
    norm: str
    level: int
    inputs: int
    joined: int
    outputs: int


def layers_of(width: int, depth: int) -> list[Layer]:
    """Return the layers in their order. The first 2·depth + 2 of them are the encoder."""
    channels, found = [width * 2**level for level in range(depth + 1)], []

    def block(name: str, level: int, inputs: int, joined: int) -> None:
        out = channels[level]
        found.append(Layer(f"{name}.0.weight", f"{name}.1", level, inputs, joined, out))
        found.append(Layer(f"{name}.3.weight", f"{name}.4", level, out, 0, out))

    for level in range(depth + 1):
        block(f"down.{level}", level, channels[level - 1] if level else 1, 0)
    for number, level in enumerate(reversed(range(depth))):
        block(f"up.{number}", level, channels[level], channels[level + 1])
    return found


class Arranged:
    """The weights of networks in the order in which the compiled functions need them.

    Args:
        weights: The weights of R networks, by name.
        scales: Factors of each convolution's output channels, by the name of the normalisation, (R,
            channels).
    """

    def __init__(self, layers: Sequence[Layer], weights: dict, scales: dict | None = None):
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
class Node:
    """A layer with its planes.

    Attributes:
        plan, half: The positions of pixels at the layer's resolution, and at half of it.
        x, below: Input planes; `below` has half the resolution and exists only where the layer
            joins two.
        convolved, activated: The result of the convolution, and the layer's output.
        quarters: Planes of half the resolution, for a layer that joins.
        source: The layer whose output is pooled to `x`.
        gradient, x_gradient, below_gradient: Gradients of `activated`, `x` and `below`. The image
            has no gradient.
    """

    layer: Layer
    plan: Plan
    half: Plan | None
    x: np.ndarray
    below: np.ndarray | None
    convolved: np.ndarray
    activated: np.ndarray
    quarters: np.ndarray | None
    source: "Node | None"
    gradient: np.ndarray | None = None
    x_gradient: np.ndarray | None = None
    below_gradient: np.ndarray | None = None

    def __post_init__(self):
        self.constants = np.zeros((self.layer.outputs, 3), np.float32)
        self.factors = np.zeros((self.layer.outputs, 4))
        # The views are made once, since making them in every step takes time.
        self.flat_x, self.flat_below = _flat(self.x), _flat(self.below)
        self.flat_convolved, self.flat_activated = _flat(self.convolved), _flat(self.activated)
        self.flat_quarters, self.flat_gradient = _flat(self.quarters), _flat(self.gradient)
        self.flat_x_gradient = _flat(self.x_gradient)
        self.flat_below_gradient = _flat(self.below_gradient)
        self.places = self.plan.places
        if self.layer.joined:
            steps, row = ((-1, 0), (0, 1)), self.half.row  # see _MEETS
            self.quarter_taps = np.array(
                [[y * row + x for y in steps[i] for x in steps[j]] for i in (0, 1) for j in (0, 1)]
            )
            self.half_places = self.half.places


class Passes:
    """The memory of one network's step, and its passes through the layers.

    The memory is used again for every network and every step. Without `gradients`, there is no
    backward pass.
    """

    def __init__(self, layers: Sequence[Layer], images: int, side: int, gradients: bool):
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
            node = Node(
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
        self, images: np.ndarray, weights: Arranged, place: int, shifts: dict | None
    ) -> Iterator[Node]:
        """Yield every layer after its convolution of `images`, (N, H, W)."""
        self._image_pixels[0] = images
        for node in self._nodes:
            layer, plan, half = node.layer, node.plan, node.half
            if node.source:
                source = node.source
                kernels.pool(
                    source.flat_activated, node.flat_x, layer.inputs, source.places, node.places,
                )  # fmt: skip
            bias = _zeros(layer.outputs) if shifts is None else shifts[layer.norm][place]
            out, adds = node.flat_convolved, layer.joined > 0
            if layer.joined:
                kernels.convolve(
                    node.flat_below, weights.quarters[layer][place], node.quarter_taps,
                    half.mask, node.flat_quarters, layer.joined, layer.outputs,
                    half.length, half.first, half.number, 0, layer.outputs, bias, False, False,
                )  # fmt: skip
                kernels.interleave(
                    node.flat_quarters, out, layer.outputs, node.places, node.half_places
                )
            kernels.convolve(
                node.flat_x, weights.forward[layer][place], plan.taps, plan.mask, out,
                layer.inputs, layer.outputs, plan.length, plan.first, plan.number,
                0, 0, bias, adds, shifts is not None,
            )  # fmt: skip
            yield node

    def predict(
        self, images: np.ndarray, weights: Arranged, place: int, shifts: dict, head: tuple
    ) -> np.ndarray:
        """Return (N, H, W) logits in evaluation mode.

        `shifts` has what each normalisation adds after its factor, which is in `weights`.
        """
        for _ in self._convolutions(images, weights, place, shifts):
            pass
        return self._head(place, head)

    def forward(
        self, images: np.ndarray, weights: Arranged, place: int, state: dict, head: tuple
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
        self, slopes: np.ndarray, weights: Arranged, place: int, head: tuple, found: "Gradients"
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

    def _through_layer(self, node: Node, weights: Arranged, place: int, found: "Gradients") -> None:
        layer, plan, half, g = node.layer, node.plan, node.half, node.flat_gradient
        kernels.normalise_back(
            node.gradient, node.convolved, node.factors, plan.mask, found.scales[layer][place],
            found.shifts[layer][place], node.constants, plan.first, plan.number, plan.pixel_number,
        )  # fmt: skip
        own = found.own[layer][place]
        own[:] = 0
        kernels.correlate3(
            g, node.flat_x, plan.taps[0], own, layer.inputs, layer.outputs,
            plan.length, plan.first, plan.number,
        )  # fmt: skip
        if node.x_gradient is not None:
            kernels.convolve(
                g, weights.backward[layer][place], -plan.taps, plan.mask,
                node.flat_x_gradient, layer.outputs, layer.inputs, plan.length, plan.first,
                plan.number, 0, 0, _zeros(layer.inputs), False, False,
            )  # fmt: skip
        if layer.joined:
            sums, flat = found.quarters[layer][place], node.flat_quarters
            kernels.separate(g, flat, layer.outputs, node.places, node.half_places)
            sums[:] = 0
            kernels.correlate2(
                flat, node.flat_below, node.quarter_taps, sums, layer.joined, layer.outputs,
                half.length, half.first, half.number,
            )  # fmt: skip
            kernels.convolve(
                flat, weights.quarters_backward[layer][place], -node.quarter_taps, half.mask,
                node.flat_below_gradient, layer.outputs, layer.joined, half.length,
                half.first, half.number, layer.outputs, 0, _zeros(layer.joined), False, False,
            )  # fmt: skip
        if node.source:
            source = node.source
            kernels.add_pooled(
                node.flat_x_gradient, source.flat_activated, node.flat_x, source.flat_gradient,
                layer.inputs, source.places, node.places,
            )  # fmt: skip


def _flat(planes: np.ndarray | None) -> np.ndarray | None:
    return None if planes is None else planes.reshape(-1)


@lru_cache
def _zeros(number: int) -> np.ndarray:
    return np.zeros(number, np.float32)


class Gradients:
    """The gradients of R networks' weights, in the order of the compiled functions."""

    def __init__(self, layers: Sequence[Layer], number: int):
        self.own, self.quarters, self.scales, self.shifts = {}, {}, {}, {}
        for layer in layers:
            self.own[layer] = aligned(number, layer.inputs * 9 * layer.outputs * simd.LANES)
            self.scales[layer] = np.zeros((number, layer.outputs), np.float32)
            self.shifts[layer] = np.zeros((number, layer.outputs), np.float32)
            if layer.joined:
                size = layer.joined * 4 * layer.outputs * simd.LANES
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
            shape = number, layer.inputs, 9, layer.outputs
            parts = [_added(self.own[layer], shape).transpose(0, 3, 1, 2)]
            if layer.joined:
                shape = number, 4, layer.joined, 4, layer.outputs
                sums = _added(self.quarters[layer], shape)
                parts.append(np.einsum("rqito,qtk->roik", sums, _QUARTERS))
            found[layer.convolution] = np.concatenate(parts, 2)
        return found


def _added(partial: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the sums of vectors of partial sums."""
    out = np.empty(shape, np.float32)
    kernels.add_lanes(partial.reshape(-1), out.reshape(-1))
    return out
