"""An OOD metric of a training condition: how many images of other conditions fail?"""

from passband.parts import TRAIN, ood_metric


@ood_metric(TRAIN, limits=(0, 1), label="failed images")
def failed(row):
    """share of images with Dice below 0.5 under the other test conditions"""
    dice = row.dice[:, row.other]  # (replica, test condition, structure)
    return (dice < 0.5).mean(1)
