"""The loss of networks."""

import torch
from torch import Tensor, nn

from passband.config import Training


def loss(logits: Tensor, masks: Tensor, settings: Training) -> Tensor:
    """Return each network's loss: weighted cross-entropy plus weighted Dice loss.

    If γ is not 0, cross-entropy is replaced by the focal loss: the cross-entropy of each pixel is
    multiplied by (1 − p_t)^γ, where p_t is the predicted probability of the true class (Lin et al.
    2017). The Dice loss is 1 − 2Σpy/(Σp + Σy), with sums over all pixels of the batch (Milletari et
    al. 2016).

    Parameters
    ----------
    logits, masks : (R, N, 1, H, W) tensors
        The output of the networks, and the ground truth, which is 0 or 1.
    settings : Training
        The settings with the weights of both losses, and γ of the focal loss.

    Returns
    -------
    (R,) float32 tensor
        The loss of each network.
    """
    logits, masks = logits.float(), masks.expand_as(logits)
    pixels = tuple(range(1, logits.ndim))
    probability = logits.sigmoid()
    entropy = nn.functional.binary_cross_entropy_with_logits(logits, masks, reduction="none")
    if settings.focal_gamma:
        missed = (probability - masks).abs()
        entropy = entropy * missed**settings.focal_gamma
    overlap = (probability * masks).sum(pixels)
    sizes = probability.sum(pixels) + masks.sum(pixels)
    dice_loss = 1 - 2 * overlap / sizes.clamp_min(1e-6)
    return settings.entropy_weight * entropy.mean(pixels) + settings.dice_weight * dice_loss


def loss_with_gradient(logits: Tensor, masks: Tensor, settings: Training) -> tuple[Tensor, Tensor]:
    """Return the loss of one network, and its gradient with respect to the logits.

    Parameters
    ----------
    logits, masks : (1, N, 1, H, W) float32 tensors
        The output of the network, and the ground truth, which is 0 or 1.
    settings : Training
        See :func:`loss`.

    Returns
    -------
    () float32 tensor, (1, N, 1, H, W) float32 tensor
        The loss, and its gradient. Without γ, the gradient is computed without torch's autograd,
        in a quarter of the time.
    """
    if settings.focal_gamma:
        with torch.enable_grad():
            leaf = logits.detach().requires_grad_()
            value = loss(leaf, masks, settings).sum()
            (gradient,) = torch.autograd.grad(value, leaf)
        return value.detach(), gradient
    probability = logits.sigmoid()
    entropy = nn.functional.softplus(logits).mean() - (logits * masks).mean()
    overlap = (probability * masks).sum()
    size = (probability.sum() + masks.sum()).clamp_min(1e-6)
    value = settings.entropy_weight * entropy + settings.dice_weight * (1 - 2 * overlap / size)
    # d(1 − 2Σpm/S)/dp = 2Σpm/S² − 2m/S, and dp/dx = p(1 − p).
    dice = (masks * (-2 / size)).add_(2 * overlap / size**2)
    gradient = (probability - masks).mul_(settings.entropy_weight / logits.numel())
    dice.mul_(probability).mul_(1 - probability)
    return value, gradient.add_(dice, alpha=settings.dice_weight)
