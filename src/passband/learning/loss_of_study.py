"""The loss that a study's networks are trained with, which may be a part of the study."""

import torch
from torch import Tensor

from passband.config import Training
from passband.learning.heads.found import opened
from passband.parts import Part, PartError


class LossOfStudy:
    """A study's loss as a function of tensors, which checks what parts return.

    With a head, the loss is given the logit of the mask alone, and the loss of the head is added.

    Args:
        settings: The block `training`, which names the loss.
        head: The head of the networks.

    Raises:
        PartError: If the code of the loss or of the head must not run, or fails at its import.
    """

    def __init__(self, settings: Training, head: Part | None = None):
        self.part = settings.loss_part
        self.targets = self.part.declaration.targets
        self.head = LossOfHead(head) if head else None
        self._function = self.part.load()
        self._settings = settings

    def __call__(self, logits: Tensor, masks: Tensor, instances: Tensor | None = None) -> Tensor:
        """Return the loss of each network (R,), see :mod:`passband.learning.losses`.

        Args:
            logits: (R, N, outputs, H, W).
            masks, instances: (R, N, 1, H, W) and (R, N, 2, H, W); without R, all networks share
                them. Instances may be missing if neither the loss nor a head needs them.

        Raises:
            PartError: If the result has another shape or type.
        """
        given = {"mask": masks, "instances": instances}
        networks = len(logits)
        chosen = [_of_each(given[name], networks) for name in self.targets]
        logits = logits.float()
        further = logits[:, :, 1:]
        if self.head:
            logits = logits[:, :, :1]
        found = _checked(self.part, self._function(logits, *chosen, self._settings), networks)
        return found + self.head(further, instances) if self.head else found

    def example(self, networks: int, images: int, px: int, device: torch.device) -> list[Tensor]:
        """Return masks, and instances if they are needed, to try or to time a training step."""
        masks = torch.zeros(networks, images, 1, px, px, device=device)
        masks[..., : px // 2] = 1
        needed = self.head or "instances" in self.targets
        return [masks, masks.expand(-1, -1, 2, -1, -1).byte()] if needed else [masks]


class LossOfHead:
    """The loss of a head as a function of tensors, which checks what it returns.

    Raises:
        PartError: If the code of the head must not run, or fails.
    """

    def __init__(self, part: Part):
        self.part = part
        self._head = opened(part)

    def __call__(self, further: Tensor, instances: Tensor) -> Tensor:
        """Return the loss of each network (R,).

        Args:
            further: (R, N, outputs, H, W) float32, without the logit of the mask.
            instances: (R, N, 2, H, W); without R, all networks share them.

        Raises:
            PartError: If the result has another shape or type.
        """
        networks = len(further)
        return _checked(
            self.part, self._head.loss(further, _of_each(instances, networks)), networks
        )


def _of_each(targets: Tensor, networks: int) -> Tensor:
    """Return targets with an axis of the networks, which may share them."""
    return targets.expand(networks, *targets.shape[-4:])


def _checked(part: Part, found: object, networks: int) -> Tensor:
    """Return the result of a part, or raise PartError if it is no loss of each network."""
    if not isinstance(found, Tensor):
        raise PartError(f"{part}: returns {type(found).__name__}; must return a tensor")
    if found.shape != (networks,) or not found.is_floating_point():
        kind = str(found.dtype).removeprefix("torch.")
        raise PartError(
            f"{part}: returns {kind} of shape {tuple(found.shape)}; must return a float "
            f"for each network, of shape ({networks},)"
        )
    return found
