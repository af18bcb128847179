"""Simple rules that choose a network."""

from dataclasses import replace

import numpy as np
from toy_networks import profiles, true_dice

from findings.choosing.rules import Networks, recommended, rules
from passband.grid import Axes, Condition
from passband.mixtures import Mixture
from passband.network_id import NetworkId

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
    return Networks(ids, tuple(TRAIN), dice, tuple(TRAIN))


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


def test_the_check_recommends_as_recommend_does():
    """The network with the highest expected Dice, though another is nearer."""
    train = tuple(Condition(d, 1.2, 10, 100) for d in (5, 12, 20))
    a, b, c = ids = tuple(NetworkId("gold", "net", each.id, 0) for each in train)
    known = Networks(ids, train, np.zeros((3, 1)), train[:1])
    expected = np.array([[0.5, 0.9], [0.7, 0.7], [0.8, 0.1]])
    assert list(recommended(known, expected)) == [2, 0]
    assert list(recommended(replace(known, unlearned={a, c}), expected)) == [1, 1]
    assert list(recommended(replace(known, unlearned={a, b, c}), expected)) == [0, 0]


def test_the_process_on_parameters_learns_a_smooth_dice():
    asked = [Condition(7, 20, 14, 800), Condition(18, 30, 12, 150), Condition(12, 2, 11, 130)]
    picked = [
        TRAIN[k] for k in rules(networks(), asked, profiles)["Gaussian process on parameters"]
    ]
    assert [(c.defocus_nm, c.dose_e_per_A2) for c in picked] == [(5, 1000), (20, 100), (12, 100)]


def test_a_mixture_is_near_no_microscope_and_has_its_own_rule():
    mixture = Mixture("all", ranges=(("defocus_nm", 5, 20),))
    known = networks()
    asked = [Condition(6, 50, 17, 900), Condition(18, 2, 10.5, 120)]
    single = rules(known, asked, profiles)
    better = np.vstack([np.ones(len(TRAIN)), known.dice])
    mixed = Networks(
        (NetworkId("gold", "net", mixture.id, 0), *known.ids),
        (mixture, *known.train),
        better,
        known.test,
    )
    found = rules(mixed, asked, profiles)
    assert list(found.pop("mixture")) == [0, 0]
    found.pop("Gaussian process on parameters")
    for name, rows in found.items():
        assert [mixed.ids[k] for k in rows] == [known.ids[k] for k in single[name]], name
    assert "mixture" not in single


def test_scaled_parameters_have_the_study_s_further_axes():
    axes = Axes({"astigmatism_nm": 0.0})
    every = [replace(c, further=f, axes=axes) for f in ((), {"astigmatism_nm": 8}) for c in TRAIN]
    dice = np.array(
        [[true_dice(a, b) - 0.3 * (a.further != b.further) for b in every] for a in every]
    )
    ids = tuple(f"gold/net/{c.id}/0" for c in every)
    known = Networks(ids, tuple(every), dice, tuple(every))
    asked = [Condition(6, 50, 17, 900, f, axes) for f in ({"astigmatism_nm": 7}, ())]
    chosen = rules(known, asked, profiles)
    for name in ("nearest in scaled parameters", "Gaussian process on parameters"):
        found = [every[k].value("astigmatism_nm") for k in chosen[name]]
        assert found == [8, 0], name
