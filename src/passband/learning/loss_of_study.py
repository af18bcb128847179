"""The loss that a study's networks are trained with, which may be a part of the study."""

import torch
from torch import Tensor

from passband.config import Training
from passband.parts import PartError


class LossOfStudy:
    """A study's loss as a function of tensors, which checks what the part returns.

    Args:
        settings: The block `training`, which names the loss.

    Raises:
        PartError: If the code of the loss must not run, or fails at its import.
    """

    def __init__(self, settings: Training):
        self.part = settings.loss_part
        self.targets = self.part.declaration.targets
        self._function = self.part.load()
        self._settings = settings

    def __call__(self, logits: Tensor, masks: Tensor, instances: Tensor | None = None) -> Tensor:
        """Return the loss of each network (R,), see :mod:`passband.learning.losses`.

        Args:
            logits: (R, N, outputs, H, W).
            masks, instances: (R, N, 1, H, W) and (R, N, 2, H, W); without R, all networks share
                them. Instances may be missing if the loss does not need them.

        Raises:
            PartError: If the result has another shape or type.
        """
        given = {"mask": masks, "instances": instances}
        networks = len(logits)
        chosen = [given[name].expand(networks, *given[name].shape[-4:]) for name in self.targets]
        found = self._function(logits.float(), *chosen, self._settings)
        if not isinstance(found, Tensor):
            raise PartError(f"{self.part}: returns {type(found).__name__}; must return a tensor")
        if found.shape != (networks,) or not found.is_floating_point():
            kind = str(found.dtype).removeprefix("torch.")
            raise PartError(
                f"{self.part}: returns {kind} of shape {tuple(found.shape)}; must return a float "
                f"for each network, of shape ({networks},)"
            )
        return found

    def example(self, networks: int, images: int, px: int, device: torch.device) -> list[Tensor]:
        """Return masks, and instances if they are needed, to try or to time a training step."""
        masks = torch.zeros(networks, images, 1, px, px, device=device)
        masks[..., : px // 2] = 1
        labels = [masks.expand(-1, -1, 2, -1, -1).byte()] if "instances" in self.targets else []
        return [masks, *labels]
