"""The loss of networks."""

from torch import Tensor, nn

from passband.config import Training


def loss(logits: Tensor, masks: Tensor, settings: Training) -> Tensor:
    """Return each network's loss (R,): weighted cross-entropy plus weighted Dice loss.

    If γ is not 0, cross-entropy is replaced by the focal loss: the cross-entropy of each pixel is
    multiplied by (1 − p_t)^γ, where p_t is the predicted probability of the true class (Lin et al.
    2017). The Dice loss is 1 − 2Σpy/(Σp + Σy), with sums over all pixels of the batch (Milletari et
    al. 2016).

    Args:
        logits, masks: (R, N, 1, H, W), the output of the networks, and the ground truth, which is 0
            or 1.
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
