"""Conditions with simple profiles, and a model that knows the Dice of every network."""

import numpy as np

from passband.analysis.profiles import Profiles
from passband.grid import Condition


def profiles(conditions):
    """Return profiles with two frequencies, whose transfer depends only on the defocus."""
    defocus = np.array([c.defocus_nm for c in conditions])
    T = np.stack([np.sin(defocus / 9), defocus / 40], 1)
    return Profiles(
        ids=np.array([c.id for c in conditions]),
        parameters={"defocus_nm": defocus},
        T=T,
        bits=np.full_like(T, np.nan),
        log_dose=np.log10([c.dose_e_per_A2 for c in conditions]),
        frequency=np.array([0.25, 0.75]),
        azimuth=np.zeros(2),
        area=np.array([1.0, 3.0]),
        power=np.ones(2),
    )


def true_dice(train, test):
    """Return a Dice that decreases with the distance between two conditions."""
    steps = np.log10(train.dose_e_per_A2) - np.log10(test.dose_e_per_A2)
    return 0.95 - 0.02 * abs(train.defocus_nm - test.defocus_nm) - 0.1 * abs(steps)


class Known:
    """A model that knows the true Dice. Its standard deviation is the same for all networks."""

    def __init__(self, train, deviation=0.02):
        self.train, self.deviation = train, deviation

    def predict(self, train, test):
        rows = self.train if train is None else map(Condition.parse, train.ids)
        columns = list(map(Condition.parse, test.ids))
        mean = np.array([[true_dice(a, b) for b in columns] for a in rows])
        return mean, np.full(mean.shape, self.deviation)

    def interval(self, train, test, edge=None, octaves=None):
        mean, deviation = self.predict(train, test)
        downwards = deviation
        if edge is not None:
            mean = np.minimum(mean, self.predict(train, edge)[0])
            downwards = deviation + 0.1 * octaves
        return mean, mean - 1.645 * downwards, mean + 1.645 * deviation
