"""Recommended networks, with a model that knows the Dice of every network."""

import json
import warnings

import numpy as np
import pytest
import xarray as xr
from toy_networks import Known, profiles, true_dice

from passband.grid import Axes, Condition
from passband.prediction.range_of_use import Asked
from passband.prediction.recommend import network_ranking
from passband.prediction.recommend.network_ranking import (
    Group,
    candidates,
    distances,
    order,
    recommend,
    scaled_distances,
)
from passband.reports import recommendation_text

MAIN_AXES = {
    "defocus_nm": [5.0, 20.0],
    "cs_um": [1.2],
    "aperture_mrad": [16.0],
    "dose_e_per_A2": [100.0, 1000.0],
}
TRAIN = Axes.main.conditions(MAIN_AXES)
IDS = tuple(f"gold/net/{c.id}/0" for c in TRAIN)


GROUPS = [Group("gold", "net", IDS, tuple(c.id for c in TRAIN), Known(TRAIN))]
NOTHING = xr.Dataset(
    {name: (("network", "test"), np.empty((4, 0))) for name in ("mean", "low", "high")},
    {"network": list(IDS), "test": np.array([], dtype=str)},
)


def found(defocus="12", dose="400", measured=NOTHING, groups=GROUPS, extra=(), axes=MAIN_AXES):
    words = {"defocus_nm": defocus, "cs_um": "1.2", "aperture_mrad": "16", "dose_e_per_A2": dose}
    asked = Asked.parse(words)
    return recommend(groups, measured, TRAIN, extra, asked, profiles, "gold", axes)


@pytest.mark.parametrize(("defocus", "dose", "best"), [("7", "800", 1), ("18", "120", 2)])
def test_networks_are_ranked_by_expected_dice(defocus, dose, best):
    ranked = found(defocus, dose)
    assert ranked.networks[0].id == IDS[best]
    values = [network.dice.value for network in ranked.networks]
    assert values[0] == max(values)
    point = Condition(float(defocus), 1.2, 16, float(dose))
    assert values[0] == pytest.approx(true_dice(TRAIN[best], point))
    assert {network.how for network in ranked.networks} == {"interpolated"}


def test_the_order_is_that_of_the_mean_of_two_ranks():
    """Ranks by Dice 0, 1, 2, 3 and by distance 3, 0, 2, 1: the sums are 3, 1, 4 and 4."""
    dice, apart = np.array([0.9, 0.8, 0.7, 0.6]), np.array([0.4, 0.1, 0.3, 0.2])
    assert list(order(dice, apart)) == [1, 0, 2, 3]  # of equal sums, the higher Dice is first
    assert list(order(dice[::-1], apart[::-1])) == [2, 3, 1, 0]


def test_measured_networks_and_mixtures_keep_their_places_by_dice():
    """The sums of the ranks of the second, the fourth and the fifth network are 2, 1 and 3."""
    dice, apart = np.array([0.9, 0.8, 0.75, 0.7, 0.6]), np.array([0.1, 0.9, 0.1, 0.1, 0.2])
    kept = np.array([True, False, True, False, False])
    assert list(order(dice, apart, kept)) == [0, 3, 2, 1, 4]
    assert list(order(dice, np.where(kept, np.nan, apart))) == [0, 3, 2, 1, 4]
    assert list(order(dice, apart, True)) == [0, 1, 2, 3, 4]


def test_replicas_share_a_rank_by_distance():
    """Otherwise the order of the replicas would count as much as their Dice."""
    dice, apart = np.array([0.7, 0.8, 0.9, 0.95]), np.array([0.1, 0.1 + 1e-12, 0.1, 0.2])
    assert list(order(dice, apart)) == [2, 1, 3, 0]


def test_a_mixture_has_no_distance_and_conditions_have_that_in_units_of_the_range():
    asked = [Condition(12.5, 1.2, 16, 10**2.25)]
    apart = scaled_distances([*TRAIN, None], asked)[:, 0]
    expected = [np.hypot(0.5, x) for x in (0.25, 0.75, 0.25, 0.75)]
    assert apart[:4] == pytest.approx(expected, abs=1e-4)
    assert np.isnan(apart[4])
    with warnings.catch_warnings(action="error"):  # of mixtures alone, too
        assert np.isnan(scaled_distances([None, None], asked)).all()


def test_an_axis_with_one_value_does_not_count():
    asked = [Condition(5, 1.2, 16, 100), Condition(5, 20, 10, 100)]
    apart = scaled_distances(TRAIN, asked)
    np.testing.assert_array_equal(apart[:, 0], apart[:, 1])
    assert apart[0].tolist() == [0, 0]


def test_a_near_network_is_before_one_that_is_expected_to_be_a_little_better():
    """At 12.4 nm and 400 e/Å², 5 nm and 1,000 e/Å² are nearest."""

    class Wrong(Known):
        def predict(self, train, test):
            mean, deviation = super().predict(train, test)
            return (0.8 - 0.001 * np.arange(4)[:, None] if train is None else mean), deviation

    wrong = [Group("gold", "net", IDS, GROUPS[0].train, Wrong(TRAIN))]
    ranked = found("12.4", "400", groups=wrong)
    # Ranks by Dice are 0, 1, 2, 3, and those by distance 2, 0, 3, 1.
    assert [IDS.index(network.id) for network in ranked.networks] == [1, 0, 3, 2]
    assert ranked.networks[0].distance == pytest.approx(np.hypot(7.4 / 15, np.log10(2.5)))
    content = ranked.as_dict()
    assert content["ranked_by"].startswith("the mean of the ranks by Dice and by distance")
    assert content["networks"][0]["distance"] == ranked.networks[0].distance
    assert "Ranked by the mean of the ranks" in recommendation_text.recommendation(ranked, "known")
    # The expected gain is over the best network, which need not be the first.
    assert ranked.train_next.gain == pytest.approx(0.95 - 0.8, abs=1e-6)


def test_the_distance_of_a_range_is_its_mean_over_the_range():
    apart = {network.id: network.distance for network in found("5:20", "100").networks}
    assert apart[IDS[0]] == pytest.approx(0.5, abs=1e-3)
    assert apart[IDS[2]] == pytest.approx(0.5, abs=1e-3)
    assert apart[IDS[1]] > 1


def test_the_interval_is_that_of_the_model_between_0_and_1():
    best = found("7", "800").networks[0].dice
    assert (best.low, best.high) == pytest.approx(
        (best.value - 0.0329, best.value + 0.0329), abs=1e-4
    )
    wide = Group("gold", "net", IDS, GROUPS[0].train, Known(TRAIN, 0.5))
    dice = found(groups=[wide]).networks[0].dice
    assert dice.high == 1
    assert dice.low >= 0


def test_a_condition_outside_the_tests_is_extrapolated():
    ranked = found(defocus="27.5")
    assert not ranked.inside
    assert [(e.axis, e.above) for e in ranked.outside] == [("defocus_nm", 7.5)]
    assert {network.how for network in ranked.networks} == {"extrapolated"}
    assert not found(defocus="12:27.5").inside
    assert found(defocus="5:20", dose="100:1000").inside


def test_a_measured_dice_is_used_in_place_of_the_expected_one():
    here = Condition(12, 1.2, 16, 400)
    dice = np.array([[0.5], [np.nan], [0.99], [0.1]])
    dims = ("network", "test")
    measured = xr.Dataset(
        {
            name: (dims, dice + step)
            for name, step in (("mean", 0), ("low", -0.01), ("high", 0.005))
        },
        {"network": list(IDS), "test": [here.id]},
    )
    ranked = found(measured=measured, extra=[here])
    assert ranked.networks[0].id == IDS[2]
    assert vars(ranked.networks[0].dice) == pytest.approx(
        {"value": 0.99, "low": 0.98, "high": 0.995}
    )
    how = {network.id: network.how for network in ranked.networks}
    assert [how[id] for id in IDS] == ["measured", "interpolated", "measured", "measured"]
    values = [network.dice.value for network in ranked.networks]
    assert values == sorted(values, reverse=True)
    assert ranked.nearest == here.id
    assert ranked.ranked_by.startswith("the mean of the ranks")  # one was not measured


@pytest.mark.parametrize("mean", [0.02, 0.999])
def test_the_interval_of_a_single_structure_includes_its_dice(mean):
    """A mean over one structure has no interval, so the model's interval is used."""
    here = Condition(12, 1.2, 16, 400)
    dims, unknown = ("network", "test"), np.full((4, 1), np.nan)
    measured = xr.Dataset(
        {
            "mean": (dims, np.full((4, 1), mean)),
            "low": (dims, unknown),
            "high": (dims, unknown),
        },
        {"network": list(IDS), "test": [here.id]},
    )
    for network in found(measured=measured, extra=[here]).networks:
        assert network.dice.value == mean
        assert network.dice.low <= mean <= network.dice.high


def test_a_range_has_the_mean_and_the_worst_dice():
    ranked = found(defocus="5:20", dose="100")
    best = ranked.networks[0]
    # From 5 to 20 nm, the mean distance from either network is 7.5 nm.
    assert best.dice.value == pytest.approx(0.95 - 0.02 * 7.5, abs=1e-3)
    assert best.worst.value == pytest.approx(0.95 - 0.02 * 15)
    assert Condition.parse(best.worst_condition).defocus_nm in (5, 20)
    assert best.dice.high - best.dice.value == pytest.approx(1.645 * 0.02, abs=1e-4)


def test_the_nearest_tested_condition_is_near_in_transfer_and_dose():
    assert found("7", "150").nearest == TRAIN[0].id
    assert found("7", "700").nearest == TRAIN[1].id
    assert found("19", "700").nearest == TRAIN[3].id


def test_distances_do_not_depend_on_the_scale_of_an_axis_that_does_not_vary():
    same = [Condition(d, 1.2, 16, 100) for d in (5, 10, 20)]
    apart = distances(profiles(same), profiles(same), profiles(same))
    assert np.isfinite(apart).all()
    np.testing.assert_allclose(np.diag(apart), 0, atol=1e-6)


def test_the_next_training_condition_is_the_asked_microscope_if_distance_is_all_that_matters():
    following = found("12", "400").train_next
    assert following.condition == Condition(12, 1.2, 16, 400).id
    assert following.dice.value == pytest.approx(0.95)
    best = found("12", "400").networks[0].dice.value
    assert following.gain == pytest.approx(0.95 - best, abs=1e-3)


def test_no_training_condition_is_left_if_every_candidate_has_networks():
    assert (
        found(
            "5", "100", axes=MAIN_AXES | {"defocus_nm": [5.0], "dose_e_per_A2": [100.0]}
        ).train_next
        is None
    )
    assert found(axes=None).train_next is None


def test_candidates_are_the_asked_values_and_their_neighbours_on_the_grid():
    asked = Asked.at(Condition(12, 1.2, 16, 400))
    axes = MAIN_AXES | {"defocus_nm": [0.0, 5.0, 20.0, 40.0]}
    listed = candidates(asked, axes)
    assert {c.defocus_nm for c in listed} == {5, 12, 20}
    assert {c.dose_e_per_A2 for c in listed} == {100, 400, 1000}
    assert len(listed) == 9


def test_networks_of_all_groups_are_compared():
    near = [Condition(12, 1.2, 16, 400)]
    other = Group("gold", "other", ("gold/other/x/0",), (near[0].id,), Known(near))
    ranked = found(groups=[*GROUPS, other])
    assert ranked.networks[0].id == "gold/other/x/0"
    assert len(ranked.networks) == 5


def test_the_content_is_json():
    ranked = found(defocus="12:27.5")
    content = json.loads(json.dumps(ranked.as_dict()))
    assert [network["id"] for network in content["networks"]] == [n.id for n in ranked.networks]
    assert content["networks"][0].keys() >= {"id", "dice", "how"}
    assert content["networks"][0]["dice"].keys() == {"value", "low", "high"}
    assert content["inside"] is False
    assert content["asked"]["defocus_nm"] == [12, 27.5]
    assert len(ranked.as_dict(top=2)["networks"]) == 2
    assert network_ranking.COVERAGE == 0.9


def test_candidates_have_the_study_s_further_axes():
    own = {"astigmatism_nm": 0.0, "vibration_A": 0.2}
    further = {"astigmatism_nm": 3, "vibration_A": 0.5}
    asked = Asked.at(Condition(12, 1.2, 16, 400, further, Axes(own)))
    axes = MAIN_AXES | {"astigmatism_nm": [0.0, 5.0]}  # the grid has one value of the vibration
    found = {
        tuple(c.value(name) for name in own)
        for c in candidates(asked, axes | {"defocus_nm": [12.0], "dose_e_per_A2": [400.0]})
    }
    assert found == {(a, v) for a in (0, 3, 5) for v in (0.2, 0.5)}


def test_many_axes_have_candidates_that_differ_in_two_axes_only(monkeypatch):
    asked = Asked.at(Condition(12, 1.2, 16, 400))
    monkeypatch.setattr(network_ranking, "MOST_CANDIDATES", 8)
    axes = {"defocus_nm": [5, 20], "cs_um": [1, 2], "aperture_mrad": [9], "dose_e_per_A2": [100]}
    listed = candidates(asked, axes)
    values = asked.low.values()
    changed = [sum(values[name] != x for name, x in c.values().items()) for c in listed]
    assert max(changed) == 2
    assert len(listed) == len(set(listed)) == 1 + (2 + 2 + 1 + 1) + (4 + 2 + 2 + 2 + 2 + 1)


def test_networks_that_did_not_learn_are_not_ranked():
    asked = Asked.at(Condition(7, 1.2, 16, 800))
    left_out = {IDS[1]}
    some = recommend(GROUPS, NOTHING, TRAIN, (), asked, profiles, "gold", unlearned=left_out)
    others = [n for n in found("7", "800").networks if n.id not in left_out]
    assert some.unlearned == (IDS[1],)
    assert [n.id for n in some.networks] == [n.id for n in others]
    none = recommend(GROUPS, NOTHING, TRAIN, (), asked, profiles, "gold", unlearned=IDS)
    assert none.networks == ()
