"""Networks of one architecture, trained as one program: one network, or several under vmap.

The first axis of all tensors is the network, in :class:`SingleNetwork` and in
:class:`VectorizedNetworks`. So the same code trains both. Weights are float32 in every precision of
the computation.
"""

import copy
import functools
import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from passband.learning import backend, devices

logger = logging.getLogger("passband")


def _compiled(function: Callable) -> Callable:
    """Return a function that torch compiles at its first call, if torch is able to compile it."""
    run = torch.compile(function, dynamic=False)

    def call(*arguments):
        nonlocal run
        try:
            return run(*arguments)
        # torch.compile raises errors of many kinds. If the error is one of the function itself, it
        # is raised again when the function runs below.
        except Exception as error:
            if run is function:
                raise
            words = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            logger.warning("torch.compile failed; networks are trained without it: %s", words)
            run = function
            return function(*arguments)

    return call


class SingleNetwork:
    """One network, trained alone. `precision` is that of torch's autocast."""

    def __init__(self, module: nn.Module, precision: str = "float32"):
        self._module, self._precision = module, precision
        self._train, self._fused = module, backend.fused(module, precision)

    @property
    def parameters(self) -> dict[str, Tensor]:
        """The weights that an optimizer changes, by name."""
        return dict(self._module.named_parameters())

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The network's complete state: (1, …) views of parameters and buffers, by name."""
        return {name: t.detach()[None] for name, t in self._module.state_dict().items()}

    def compile(self) -> None:
        """Let torch compile what :meth:`forward` runs."""
        for layer in self._fused:  # torch cannot compile numba's functions
            del layer.forward
        self._fused = []
        self._train = _compiled(self._module)

    def forward(self, images: Tensor) -> Tensor:
        """Return (1, N, 1, H, W) logits of (1, N, 1, H, W) images, in training mode."""
        with devices.autocast(self._precision, images.device):
            return self._train(images[0])[None]

    def predict(self, images: Tensor) -> Tensor:
        """Return (1, N, 1, H, W) logits of (N, 1, H, W) images, in evaluation mode."""
        self._module.eval()
        try:
            with devices.autocast(self._precision, images.device):
                return self._module(images)[None]
        finally:
            self._module.train()


class _BatchNorm(torch.autograd.Function):
    """Batch normalisation of vectorized networks: one operation for the channels of all networks.

    torch's own batch normalisation under vmap refuses bfloat16 images with float32 statistics. It
    is also slower than this class, since it reads the images several times. This class is a torch
    Function, because a Function can have its own method :meth:`vmap` for this normalisation. The
    class needs no method for gradients, since torch knows the gradients of all operations in
    :meth:`vmap`.
    """

    @staticmethod
    def setup_context(*_):
        """Do nothing. torch requires this method."""

    @staticmethod
    def vmap(info, dims, x, mean, variance, weight, bias, *how):
        """Normalise (N, C, H, W) images of R networks.

        `mean`, `variance`, `weight` and `bias` are (R, C) tensors. `how` has the further arguments
        of :func:`torch.nn.functional.batch_norm`.
        """
        networks = info.batch_size
        if dims[0] is None:  # all networks share the images
            x = x[None].expand(networks, *x.shape)
        x = x.movedim(dims[0] or 0, 1)
        channels = (t.flatten() for t in (mean, variance, weight, bias))
        normal = nn.functional.batch_norm(x.flatten(1, 2), *channels, *how)
        return normal.unflatten(1, (networks, -1)), 1


def _normalise(layer: nn.BatchNorm2d, x: Tensor) -> Tensor:
    if layer.training:
        layer.num_batches_tracked.add_(1)
    statistics = layer.running_mean, layer.running_var
    how = layer.training, layer.momentum, layer.eps
    return _BatchNorm.apply(x, *statistics, layer.weight, layer.bias, *how)


def _as_weight(layer: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(x.to(layer.weight.dtype) for x in arguments)


class VectorizedNetworks:
    """Several networks of one architecture under vmap, which groups the networks' convolutions.

    A network that draws random numbers, for example for dropout, cannot be vectorized: the network
    would draw other random numbers than if it were trained alone.

    Args:
        modules: Networks of one architecture. Each maps (N, 1, H, W) images to (N, 1, H, W) logits.
        precision: Precision of convolutions and matrix products, see
            :data:`passband.learning.devices.DTYPES`. The weights and inputs of convolutions and
            matrix products are cast in this class, since autocast has no effect within vmap on a
            CPU. The weights and sums of batch normalisations are float32.
    """

    def __init__(self, modules: Sequence[nn.Module], precision: str = "float32"):
        self.parameters, self._buffers = stack_module_state(list(modules))
        self._skeleton = copy.deepcopy(modules[0]).to("meta")
        self._dtype, self._cast = devices.DTYPES[precision], set()
        for name, layer in self._skeleton.named_modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.forward = functools.partial(_normalise, layer)
            elif isinstance(getattr(layer, "weight", None), Tensor):
                layer.register_forward_pre_hook(_as_weight)
            if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
                own = dict(layer.named_parameters(recurse=False))
                self._cast |= {f"{name}.{key}" for key in own}
        self._train = vmap(self._call)
        self._predict = vmap(self._call, in_dims=(0, 0, None))

    def _call(self, parameters: dict, buffers: dict, images: Tensor) -> Tensor:
        return functional_call(self._skeleton, (parameters, buffers), (images,))

    def _weights(self) -> dict[str, Tensor]:
        """Return the weights, those of convolutions and matrix products in their precision."""
        return {
            name: weight.to(self._dtype) if name in self._cast else weight
            for name, weight in self.parameters.items()
        }

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The networks' complete state: (R, …) views of parameters and buffers, by name."""
        return {name: t.detach() for name, t in {**self.parameters, **self._buffers}.items()}

    def compile(self) -> None:
        """Let torch compile what :meth:`forward` runs."""
        self._train = _compiled(vmap(self._call))

    def forward(self, images: Tensor) -> Tensor:
        """Return (R, N, 1, H, W) logits of (R, N, 1, H, W) images, in training mode.

        Raises:
            RuntimeError: If the networks draw random numbers.
        """
        return self._train(self._weights(), self._buffers, images)

    def predict(self, images: Tensor) -> Tensor:
        """Return (R, N, 1, H, W) logits of (N, 1, H, W) images, in evaluation mode."""
        self._skeleton.eval()
        try:
            return self._predict(self._weights(), self._buffers, images)
        finally:
            self._skeleton.train()
