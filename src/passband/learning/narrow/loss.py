"""The loss ``entropy-dice`` and its gradient by a compiled function."""

import numpy as np
import torch
from torch import Tensor, nn

from passband.config import Training
from passband.imaging.compiled import compiled


def loss_with_gradient(logits: Tensor, masks: Tensor, settings: Training) -> tuple[Tensor, Tensor]:
    """Return the loss of one network and its gradient, (1, N, 1, H, W) float32.

    The loss is that of :func:`passband.learning.losses.entropy_dice`. The gradient is computed
    without torch's autograd, in a quarter of the time.
    """
    probability = logits.sigmoid()
    entropy = nn.functional.softplus(logits).mean() - (logits * masks).mean()
    overlap = (probability * masks).sum()
    size = (probability.sum() + masks.sum()).clamp_min(1e-6)
    value = entropy + settings.dice_weight * (1 - 2 * overlap / size)
    # d(1 − 2Σpm/S)/dp = 2Σpm/S² − 2m/S, and dp/dx = p(1 − p).
    gradient, dice = torch.empty_like(probability), torch.empty_like(probability)
    arrays = (x.reshape(-1).numpy() for x in (probability, masks, gradient, dice))
    slopes = compiled(_slopes, "(f4[::1], f4[::1], f4[::1], f4[::1], f4, f4, f4)")
    factors = 1 / logits.numel(), -2 / size, 2 * overlap / size**2
    slopes(*arrays, *(np.float32(float(factor)) for factor in factors))
    return value, gradient.add_(dice, alpha=settings.dice_weight)


def _slopes(probability, masks, gradient, dice, entropy_factor, dice_factor, dice_constant):
    """Write the derivatives of the cross-entropy and of the Dice loss in one pass over memory."""
    one = np.float32(1)
    for k in range(len(probability)):
        p, m = probability[k], masks[k]
        gradient[k] = (p - m) * entropy_factor
        dice[k] = (m * dice_factor + dice_constant) * p * (one - p)
