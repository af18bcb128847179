"""Networks of one architecture trained as one program: alone, or several stacked.

Both kinds take and give tensors with a leading axis of networks, so that what trains them does not
see which it has.
"""

import copy
import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

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
    """

    def __init__(self, module: nn.Module):
        self._module = module
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
        return self._train(images[0])[None]

    def predict(self, images: Tensor) -> Tensor:
        """Return (1, N, 1, H, W) logits of (N, 1, H, W) images, in evaluation mode."""
        self._module.eval()
        try:
            return self._module(images)[None]
        finally:
            self._module.train()


class Stack:
    """Several networks of one architecture: weights stacked, convolutions grouped by vmap.

    A network that draws random numbers, as dropout does, cannot be stacked: its draws would not be
    those of the network alone.

    Parameters
    ----------
    modules : sequence of R Modules
        Of one architecture; each maps (N, 1, H, W) images to (N, 1, H, W) logits.
    """

    def __init__(self, modules: Sequence[nn.Module]):
        self.parameters, self._buffers = stack_module_state(list(modules))
        self._skeleton = copy.deepcopy(modules[0]).to("meta")
        self._train = vmap(self._call)
        self._predict = vmap(self._call, in_dims=(0, 0, None))

    def _call(self, parameters: dict, buffers: dict, images: Tensor) -> Tensor:
        return functional_call(self._skeleton, (parameters, buffers), (images,))

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
        return self._train(self.parameters, self._buffers, images)

    def predict(self, images: Tensor) -> Tensor:
        """Return (R, N, 1, H, W) logits of (N, 1, H, W) images, in evaluation mode."""
        self._skeleton.eval()
        try:
            return self._predict(self.parameters, self._buffers, images)
        finally:
            self._skeleton.train()
