"""Recommended networks, with a model that knows the Dice of every network."""

import json
from dataclasses import replace

import numpy as np
import pytest
from toy_networks import Known, profiles, true_dice

from passband import PassbandError
from passband.grid import Axes, Condition
from passband.network_id import NetworkId
from passband.prediction import gaussian_process
from passband.prediction.range_of_use import Asked, TestedDoses
from passband.prediction.recommend import network_ranking
from passband.prediction.recommend.network_dice import FittedNetworks, NetworkDice, expected_dice
from passband.prediction.recommend.network_ranking import candidates, distances, recommend

MAIN_AXES = {
    "defocus_nm": [5.0, 20.0],
    "cs_um": [1.2],
    "aperture_mrad": [16.0],
    "dose_e_per_A2": [100.0, 1000.0],
}
TRAIN = Axes.main.conditions(MAIN_AXES)
IDS = tuple(NetworkId("gold", "net", c.id, 0) for c in TRAIN)
FITTED = [FittedNetworks("gold", "net", IDS, Known(TRAIN))]


def found(defocus="12", dose="400", measured=None, fitted=FITTED, further=(), axes=MAIN_AXES):
    words = {"defocus_nm": defocus, "cs_um": "1.2", "aperture_mrad": "16", "dose_e_per_A2": dose}
    asked = Asked.parse(words)
    return recommend(fitted, measured, TRAIN, further, asked, profiles, "gold", axes)


def measured(here, mean, low, high):
    """Return measured Dice (network, 1) of all networks under one condition."""
    return NetworkDice(IDS, (here,), mean, low, high, np.isfinite(mean))


@pytest.mark.parametrize(("defocus", "dose", "best"), [("7", "800", 1), ("18", "120", 2)])
def test_networks_are_ranked_by_expected_dice(defocus, dose, best):
    ranked = found(defocus, dose)
    assert ranked.networks[0].id == IDS[best]
    values = [network.dice.value for network in ranked.networks]
    assert values[0] == max(values)
    point = Condition(float(defocus), 1.2, 16, float(dose))
    assert values[0] == pytest.approx(true_dice(TRAIN[best], point))
    assert {network.how for network in ranked.networks} == {"interpolated"}


def test_expected_dice_alone_ranks_and_the_nearest_network_is_not_preferred():
    """At 12.4 nm and 400 e/Å², 5 nm and 1,000 e/Å² are nearest."""

    class Wrong(Known):
        def predict(self, train, test):
            mean, deviation = super().predict(train, test)
            return (0.8 - 0.001 * np.arange(4)[:, None] if train is None else mean), deviation

    wrong = [FittedNetworks("gold", "net", IDS, Wrong(TRAIN))]
    ranked = found("12.4", "400", fitted=wrong)
    assert [IDS.index(network.id) for network in ranked.networks] == [0, 1, 2, 3]
    assert ranked.values()["ranked_by"] == "expected Dice"
    assert "Ranked by expected Dice." in str(ranked)
    assert ranked.train_next.gain == pytest.approx(0.95 - 0.8, abs=1e-6)


def test_what_a_model_of_dice_does_not_see_is_said():
    ranked = found("12.4", "400")
    assert "does not depend on" not in str(ranked)
    axes = Axes({"slope_sd": 0.0, "coma_nm": 0.0}, ranged=frozenset({"gain", "vibration_A"}))
    asked = Asked.at(replace(ranked.asked.low, axes=axes))
    line = "\nExpected Dice does not depend on slope of the light and gain.\n"
    assert line in str(replace(ranked, asked=asked))


def test_networks_with_equal_dice_are_in_the_order_of_their_ids():
    class Equal(Known):
        def predict(self, train, test):
            mean, deviation = super().predict(train, test)
            return np.full_like(mean, 0.8), deviation

    backwards = IDS[::-1]
    ranked = found(fitted=[FittedNetworks("gold", "net", backwards, Equal(TRAIN))])
    assert [network.id for network in ranked.networks] == list(IDS)


def test_above_the_tested_doses_every_answer_is_as_at_the_highest(monkeypatch):
    """The tests have up to 1,000 e/Å². The toy Dice would change with the dose."""
    there, above = found("12", "1000"), found("12", "100000")
    assert [(n.id, n.dice) for n in above.networks] == [(n.id, n.dice) for n in there.networks]
    assert above.train_next == there.train_next  # also the suggested condition
    assert (there.as_at_dose, above.as_at_dose) == (None, 1000)
    assert above.asked.low.dose_e_per_A2 == 100_000
    assert above.values()["as_at_dose"] == 1000
    assert {network.how for network in above.networks} == {"extrapolated"}
    text = str(above)
    assert "dose: 99,000 e/Å² above the range from 100 to 1,000 e/Å²" in text
    assert "expected Dice is as at 1,000 e/Å², the highest tested dose" in text
    assert "as at" not in str(there)
    # In a range, only what is above counts as the highest.
    wide = found("12", "1000:100000")
    assert wide.networks[0].dice.value == pytest.approx(there.networks[0].dice.value)
    part = found("12", "100:100000").networks[0].dice.value
    assert part < wide.networks[0].dice.value


def test_a_further_test_makes_its_dose_a_tested_one():
    here = Condition(12, 1.2, 16, 5000)
    assert found("12", "4000", further=[here]).as_at_dose is None
    assert found("12", "4000").as_at_dose == 1000


def test_below_the_tested_doses_dice_is_not_above_that_at_the_lowest():
    """A model that expects more Dice at lower doses than at 100 e/Å²."""
    edge, below = found("12", "100"), found("12", "60")
    rising = Known(TRAIN)
    rising.predict = lambda train, test: (
        np.full((4, len(test)), 1.0) - test.log_dose / 10,
        np.full((4, len(test)), 0.02),
    )
    fitted = [FittedNetworks("gold", "net", IDS, rising)]
    capped = found("12", "60", fitted=fitted, axes=None)
    assert capped.networks[0].dice.value == pytest.approx(0.8)
    for network in below.networks:
        (same,) = [n for n in edge.networks if n.id == network.id]
        assert network.dice.value <= same.dice.value
        reach = network.dice.value - network.dice.low
        assert reach > 1.5 * (network.dice.high - network.dice.value)
    assert (edge.below_dose, below.below_dose) == (None, 100)
    assert below.values()["below_dose"] == 100
    text = str(below)
    assert "below 100 e/Å², the lowest tested dose, expected Dice is at most that at" in text


def test_further_below_nothing_is_expected_and_what_to_do_is_said():
    assert found("12", "50").networks
    for dose in ("49.99", "20:400"):
        with pytest.raises(PassbandError, match=r"must be 50 e/Å² or more, half of the") as caught:
            found("12", dose)
        assert "\n" not in str(caught.value)
        given = dose.partition(":")[0]
        assert str(caught.value).endswith(
            "passband evaluate STUDY --defocus-nm 12 --cs-um 1.2 --aperture-mrad 16 "
            f"--dose-e-per-A2 {given}"
        )


def test_inside_the_tested_doses_answers_are_those_of_the_model_to_the_last_digit():
    points = [Condition(d, 1.2, 16, dose) for d in (5, 12.3, 40) for dose in (100, 333, 1000)]
    model = FITTED[0].model
    doses = TestedDoses.of(TRAIN)
    known = expected_dice(FITTED, None, points, profiles, doses)
    expected = (np.clip(each, 0, 1) for each in model.interval(None, profiles(points)))
    for name, values in zip(("mean", "low", "high"), expected, strict=True):
        np.testing.assert_array_equal(getattr(known, name), values)


def test_the_interval_is_that_of_the_model_between_0_and_1():
    best = found("7", "800").networks[0].dice
    assert (best.low, best.high) == pytest.approx(
        (best.value - 0.0329, best.value + 0.0329), abs=1e-4
    )
    wide = FittedNetworks("gold", "net", IDS, Known(TRAIN, 0.5))
    dice = found(fitted=[wide]).networks[0].dice
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
    ranked = found(measured=measured(here, dice, dice - 0.01, dice + 0.005), further=[here])
    assert ranked.networks[0].id == IDS[2]
    assert vars(ranked.networks[0].dice) == pytest.approx(
        {"value": 0.99, "low": 0.98, "high": 0.995}
    )
    how = {network.id: network.how for network in ranked.networks}
    assert [how[id] for id in IDS] == ["measured", "interpolated", "measured", "measured"]
    values = [network.dice.value for network in ranked.networks]
    assert values == sorted(values, reverse=True)
    assert ranked.nearest == here.id
    assert ranked.ranked_by == "expected Dice"  # one was not measured


@pytest.mark.parametrize("mean", [0.02, 0.999])
def test_the_interval_of_a_single_structure_includes_its_dice(mean):
    """A mean over one structure has no interval, so the model's interval is used."""
    here = Condition(12, 1.2, 16, 400)
    unknown = np.full((4, 1), np.nan)
    known = measured(here, np.full((4, 1), mean), unknown, unknown)
    for network in found(measured=known, further=[here]).networks:
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
    assert following.id.condition == Condition(12, 1.2, 16, 400).id
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
    id = NetworkId("gold", "other", near[0].id, 0)
    ranked = found(fitted=[*FITTED, FittedNetworks("gold", "other", (id,), Known(near))])
    assert ranked.networks[0].id == id
    assert len(ranked.networks) == 5


def test_the_content_is_json():
    ranked = found(defocus="12:27.5")
    content = json.loads(ranked.to_json())
    assert [network["id"] for network in content["networks"]] == [
        str(n.id) for n in ranked.networks
    ]
    assert content["networks"][0].keys() >= {"id", "dice", "how"}
    assert content["networks"][0]["dice"].keys() == {"value", "low", "high"}
    assert content["inside"] is False
    assert content["asked"]["defocus_nm"] == [12, 27.5]
    assert len(replace(ranked, top=2).values()["networks"]) == 2
    assert gaussian_process.COVERAGE == 0.9


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
    some = recommend(FITTED, None, TRAIN, (), asked, profiles, "gold", unlearned=left_out)
    others = [n for n in found("7", "800").networks if n.id not in left_out]
    assert some.unlearned == (IDS[1],)
    assert [n.id for n in some.networks] == [n.id for n in others]
    none = recommend(FITTED, None, TRAIN, (), asked, profiles, "gold", unlearned=IDS)
    assert none.networks == ()
