"""What `recommend` says below the tested doses, on a small study whose Dice is known."""

import numpy as np
import pytest
from recommended import make_results, make_study

from findings.choosing import recommend as script
from passband.answers.tested_networks import TestedNetworks
from passband.results import Results

pytestmark = pytest.mark.slow


def test_low_doses_are_left_out_of_training_and_tests_and_asked(tmp_path):
    study = make_study(dose_e_per_A2=[50, 110, 200, 1000], cs_um=[1.2])
    tested = TestedNetworks.open(Results(study, make_results(study, tmp_path)))
    every = tested.of_structures(range(6), "all")
    row = script.below(every, 200.0, 100, False)
    # 2 defoci × 2 apertures with 200 and 1,000 e/Å² are left; those with 110 e/Å² are asked.
    assert row[:4] == ["8 from 200 e/Å²", "8", "100 to 200", "4"]
    alone, half_alone, now, half_now = row[4:8]
    assert float(now[:-1]) >= float(alone[:-1])
    assert float(half_now) > float(half_alone)
    (few,) = [script.below(every, 200.0, 4, False)[1]]
    assert few == "4"


def test_a_mean_over_tests_has_its_interval():
    value, low, _, high = script._words(0.1 * (np.arange(40) % 2)).split()
    assert float(low[1:]) < float(value) == 0.05 < float(high[:-1])
