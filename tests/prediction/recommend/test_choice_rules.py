"""Simple rules that choose a network."""

from dataclasses import replace

import numpy as np
from toy_networks import profiles, true_dice

from passband.grid import Axes, Condition
from passband.prediction.recommend.choice_rules import Networks, nearest, oracle, rules

TRAIN = Axes.main.conditions(
    {
        "defocus_nm": [5, 12, 20],
        "cs_um": [1.2, 60],
        "aperture_mrad": [10, 18],
        "dose_e_per_A2": [100, 1000],
    }
)


def networks(dice=None):
    if dice is None:
        dice = np.array([[true_dice(a, b) for b in TRAIN] for a in TRAIN])
    ids = tuple(f"gold/net/{c.id}/0" for c in TRAIN)
    return Networks(ids, tuple(TRAIN), dice, tuple(TRAIN), tuple(c.id for c in TRAIN))


def test_of_equally_near_networks_the_best_on_average_is_chosen():
    apart = np.array([[1.0, 3.0], [1.0, 2.0], [2.0, 5.0]])
    assert list(nearest(apart, np.array([0.5, 0.7, 0.9]))) == [1, 1]
    assert list(nearest(apart, np.array([0.8, 0.7, 0.9]))) == [0, 1]


def test_every_rule_chooses_by_its_own_distance():
    asked = [Condition(6, 50, 17, 900), Condition(18, 2, 10.5, 120)]
    chosen = rules(networks(), asked, profiles)
    assert [TRAIN[k] for k in chosen["nearest in scaled parameters"]] == [
        Condition(5, 60, 18, 1000),
        Condition(20, 1.2, 10, 100),
    ]
    for name in ("nearest in defocus", "nearest in T(q)"):
        assert [TRAIN[k].defocus_nm for k in chosen[name]] == [5, 20]
    picked = [TRAIN[k] for k in chosen["nearest in T(q) and dose"]]
    assert [(c.defocus_nm, c.dose_e_per_A2) for c in picked] == [(5, 1000), (20, 100)]
    assert len(set(chosen["best on average"])) == 1
    assert TRAIN[chosen["best on average"][0]].defocus_nm == 12


def test_the_process_on_parameters_learns_a_smooth_dice():
    asked = [Condition(7, 20, 14, 800), Condition(18, 30, 12, 150), Condition(12, 2, 11, 130)]
    picked = [
        TRAIN[k] for k in rules(networks(), asked, profiles)["Gaussian process on parameters"]
    ]
    assert [(c.defocus_nm, c.dose_e_per_A2) for c in picked] == [(5, 1000), (20, 100), (12, 100)]


def test_the_oracle_knows_means_of_cells_and_effects_of_replicas():
    ids, train = ("a/0", "a/1", "b/0", "b/1"), (TRAIN[0], TRAIN[0], TRAIN[1], TRAIN[1])
    table = np.array([[0.7, 0.7], [0.8, 0.8], [0.9, 0.9], [0.6, 0.6]])
    known = Networks(ids, train, table, tuple(TRAIN[:2]), ("a", "a", "b", "b"))
    # Cell b is better under the second microscope. Its replica 0 is better in the table, but not
    # there.
    true = np.array([[0.9, 0.2], [0.9, 0.2], [0.5, 0.3], [0.5, 0.6]])
    assert list(oracle(known, true)) == [1, 2]
    assert oracle(networks(), np.ones((len(TRAIN), 2))) is None


def test_scaled_parameters_have_the_study_s_further_axes():
    axes = Axes({"astigmatism_nm": 0.0})
    every = [replace(c, further=f, axes=axes) for f in ((), {"astigmatism_nm": 8}) for c in TRAIN]
    dice = np.array(
        [[true_dice(a, b) - 0.3 * (a.further != b.further) for b in every] for a in every]
    )
    ids = tuple(f"gold/net/{c.id}/0" for c in every)
    known = Networks(ids, tuple(every), dice, tuple(every), tuple(c.id for c in every))
    asked = [Condition(6, 50, 17, 900, f, axes) for f in ({"astigmatism_nm": 7}, ())]
    chosen = rules(known, asked, profiles)
    for name in ("nearest in scaled parameters", "Gaussian process on parameters"):
        found = [every[k].value("astigmatism_nm") for k in chosen[name]]
        assert found == [8, 0], name
