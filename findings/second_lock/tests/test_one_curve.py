"""The table that decides whether one curve replaces two in the distances of the package."""

import numpy as np
import pandas as pd
import pytest
from matrices import make_metrics, make_profiles

from findings.second_lock import one_curve
from passband.prediction import gaussian_process


@pytest.fixture
def profiles():
    return make_profiles(make_metrics()[0])["gold"]


def test_networks_that_are_judged_are_not_known(profiles, monkeypatch):
    """The Dice of a network depends on the network alone, so that nothing else tells about it."""
    monkeypatch.setattr(one_curve, "FOLDS", 4)
    monkeypatch.setattr(one_curve, "DRAWS", 20)
    monkeypatch.setattr(gaussian_process, "_STEPS", 5)
    own = np.random.default_rng(0).random((len(profiles), 1, 1))
    replicas = np.broadcast_to(0.5 + 0.2 * own, (len(profiles), 2, len(profiles)))
    tests = profiles, profiles[:12]
    other = replicas[..., :12] + 0.01

    def rows(known):
        found = pd.DataFrame(one_curve.of_few(replicas, other, profiles, tests, known))
        return found.set_index(["cells", "distances"])

    every = rows(len(profiles))
    few = rows(10)
    assert every.r2["rows left out"].max() < 0.5 < every.r2["new tests"].min()
    assert (every.known == f"{len(profiles)}").all()
    assert few.minus_four[:, one_curve.FOUR].tolist() == [0, 0]
    assert few.chosen["new tests"].notna().all()
    assert few.chosen["rows left out"].isna().all()


def test_the_committed_table_says_what_the_package_has():
    frame = pd.read_csv(one_curve.TABLE)
    assert one_curve.holds(frame)
    first = frame[frame.draw == 0]
    four = first[first.distances == one_curve.FOUR].set_index(["known", "cells"])
    assert four.r2[1728, "old tests"] == pytest.approx(0.9773, abs=1e-4)  # as in afterwards.csv
    assert four.r2[1728, "new tests"] == pytest.approx(0.8641, abs=1e-4)
    below = frame.assign(minus_four=frame.minus_four - one_curve.MARGIN - 0.001)
    assert not one_curve.holds(below)
