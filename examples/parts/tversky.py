"""The Tversky loss, which weighs missed pixels and wrongly marked pixels differently."""

from passband.parts import loss

#: Weight of pixels that are wrongly marked.
MARKED = 0.3
#: Weight of pixels of particles that are missed.
MISSED = 0.7


@loss(targets=("mask",))
def tversky(logits, mask, settings):
    """1 − TP / (TP + 0.3 FP + 0.7 FN), of probabilities (Salehi et al. 2017, arXiv:1706.05721).

    Sums are over all pixels of a network's batch: logits and mask are (network, image, 1, y, x).
    """
    probability = logits.sigmoid()
    pixels = (1, 2, 3, 4)
    hits = (probability * mask).sum(pixels)
    marked = (probability * (1 - mask)).sum(pixels)
    missed = ((1 - probability) * mask).sum(pixels)
    return 1 - hits / (hits + MARKED * marked + MISSED * missed).clamp_min(1e-6)
