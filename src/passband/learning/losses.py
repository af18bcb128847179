"""The losses of networks.

A loss is a part, see :mod:`passband.parts`: a function of the logits, of its targets and of the
block `training`, which returns each network's loss. Several networks may be trained together, so
the first axis is the network:

- logits: (R, N, outputs, H, W) float32, the output of R networks for N images each,
- ``mask``: (R, N, 1, H, W) float32, 1 in the particles and 0 elsewhere,
- ``instances``: (R, N, 2, H, W) uint8, the number of the particle in each pixel on each face of the
  substrate, and 0 elsewhere, see :func:`passband.specimens.masks.instances`.

Training minimises the sum of the (R,) losses, and keeps the epoch of each network with the lowest
mean loss over the validation images.
"""

from torch import Tensor, nn

from passband.config import Training
from passband.parts import loss


@loss(targets=("mask",))
def entropy_dice(logits: Tensor, mask: Tensor, settings: Training) -> Tensor:
    """Cross-entropy plus weighted Dice loss.

    The Dice loss is 1 − 2Σpy/(Σp + Σy), with sums over all pixels of the batch (Milletari et al.
    2016).
    """
    logits = logits.float()
    mask = mask.expand_as(logits)
    pixels = tuple(range(1, logits.ndim))
    probability = logits.sigmoid()
    entropy = nn.functional.binary_cross_entropy_with_logits(logits, mask, reduction="none")
    overlap = (probability * mask).sum(pixels)
    sizes = probability.sum(pixels) + mask.sum(pixels)
    dice_loss = 1 - 2 * overlap / sizes.clamp_min(1e-6)
    return entropy.mean(pixels) + settings.dice_weight * dice_loss
