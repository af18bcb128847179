"""An information metric of two conditions: is contrast as dark or bright as in the training?"""

import numpy as np

from passband.parts import PAIR, metric


@metric(PAIR, label="same sign of contrast")
def same_sign(pair):
    """∫wT′²[TT′ > 0]/∫wT′²: the share of the test condition's transfer whose contrast has the sign
    that it has under the training condition; 0 to 1. It is 1 if the test condition has no transfer.
    """
    train = pair.train.T  # (condition, frequency)
    test = pair.test.T
    weight = pair.test.u * pair.test.T2
    alike = (train > 0) @ (weight * (test > 0)).T + (train < 0) @ (weight * (test < 0)).T
    whole = np.broadcast_to(weight.sum(1), alike.shape)
    return np.divide(alike, whole, out=np.ones_like(alike), where=whole > 0)
