"""Networks of one architecture trained as one program: alone, or several stacked.

Both kinds take and give tensors with a leading axis of networks, so that what trains them does not
see which it has. Weights are float32, whatever networks compute in.
"""

import copy
import functools
import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from passband import devices

logger = logging.getLogger("passband")


def _compiled(function: Callable) -> Callable:
    """Return a function compiled by torch at its first call, or as it is where that fails."""
    run = torch.compile(function, dynamic=False)

    def call(*arguments):
        nonlocal run
        try:
            return run(*arguments)
        except Exception as error:  # compilers fail in any way; an error of ours comes up again
            if run is function:
                raise
            words = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            logger.warning("torch.compile failed, so networks are trained without it: %s", words)
            run = function
            return function(*arguments)

    return call


class Alone:
    """One network.

    Parameters
    ----------
    module : Module
        Maps (N, 1, H, W) images to (N, 1, H, W) logits.
    precision : str
        What it computes in, by autocast; see :data:`passband.devices.DTYPES`.
    """

    def __init__(self, module: nn.Module, precision: str = "float32"):
        self._module, self._precision = module, precision
        self._train = module

    @property
    def parameters(self) -> dict[str, Tensor]:
        """What an optimizer changes."""
        return dict(self._module.named_parameters())

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The networks' whole state, (1, …) views of parameters and buffers by name."""
        return {name: t.detach()[None] for name, t in self._module.state_dict().items()}

    def compile(self) -> None:
        """Let torch compile what :meth:`forward` runs."""
        self._train = _compiled(self._module)

    def forward(self, images: Tensor) -> Tensor:
        """Return (1, N, 1, H, W) logits of as many images, in training mode."""
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
    """Batch normalisation of stacked networks: of all their channels at once, as one operation.

    vmap's own takes no bfloat16 beside statistics in float32, and several passes over memory. It is
    a Function for its rule under vmap alone: operations in the rule bring gradients of their own.
    """

    @staticmethod
    def setup_context(*_):
        """Save nothing; torch wants it to be there."""

    @staticmethod
    def vmap(info, dims, x, mean, variance, weight, bias, *how):
        """Normalise (N, C, H, W) images of R networks; the other tensors are (R, C), and `how` the
        arguments of :func:`torch.nn.functional.batch_norm` that follow."""
        networks = info.batch_size
        if dims[0] is None:  # images that all networks share
            x = x[None].expand(networks, *x.shape)
        x = x.movedim(dims[0] or 0, 1)
        of_channels = (t.flatten() for t in (mean, variance, weight, bias))
        normal = nn.functional.batch_norm(x.flatten(1, 2), *of_channels, *how)
        return normal.unflatten(1, (networks, -1)), 1


def _normalise(layer: nn.BatchNorm2d, x: Tensor) -> Tensor:
    if layer.training:
        layer.num_batches_tracked.add_(1)
    statistics = layer.running_mean, layer.running_var
    how = layer.training, layer.momentum, layer.eps
    return _BatchNorm.apply(x, *statistics, layer.weight, layer.bias, *how)


def _as_weight(layer: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(x.to(layer.weight.dtype) for x in arguments)


class Stack:
    """Several networks of one architecture: weights stacked, convolutions grouped by vmap.

    A network that draws random numbers, as dropout does, cannot be stacked: its draws would not be
    those of the network alone.

    Parameters
    ----------
    modules : sequence of R Modules
        Of one architecture; each maps (N, 1, H, W) images to (N, 1, H, W) logits.
    precision : str
        What convolutions and matrix products compute in, see :data:`passband.devices.DTYPES`.
        Their weights and inputs are cast by hand, as autocast would but for vmap, within which it
        does nothing on a CPU. Normalisation keeps its weights and sums in float32.
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
        """The parameters as they are computed with."""
        return {
            name: weight.to(self._dtype) if name in self._cast else weight
            for name, weight in self.parameters.items()
        }

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The networks' whole state, (R, …) views of parameters and buffers by name."""
        return {name: t.detach() for name, t in {**self.parameters, **self._buffers}.items()}

    def compile(self) -> None:
        """Let torch compile what :meth:`forward` runs."""
        self._train = _compiled(vmap(self._call))

    def forward(self, images: Tensor) -> Tensor:
        """Return (R, N, 1, H, W) logits of as many images, in training mode.

        Raises
        ------
        RuntimeError
            If the networks draw random numbers.
        """
        return self._train(self._weights(), self._buffers, images)

    def predict(self, images: Tensor) -> Tensor:
        """Return (R, N, 1, H, W) logits of (N, 1, H, W) images, in evaluation mode."""
        self._skeleton.eval()
        try:
            return self._predict(self._weights(), self._buffers, images)
        finally:
            self._skeleton.train()
