"""Scores of recommendations."""

import json

import numpy as np
import pytest
from toy_networks import Known, profiles, true_dice

from findings.choosing.rules import Networks
from findings.choosing.scores import (
    NEAREST,
    ORACLE,
    OURS,
    Half,
    check,
    rule_scores,
    scores,
    text,
)
from passband.analysis.bootstrap import Estimate
from passband.grid import Axes
from passband.prediction.recommend.microscopes import drawn_inside, drawn_outside

MAIN_AXES = {
    "defocus_nm": [5, 20],
    "cs_um": [1.2, 60],
    "aperture_mrad": [10, 18],
    "dose_e_per_A2": [100, 1000],
}
RANGES = {name: (min(values), max(values)) for name, values in MAIN_AXES.items()}


def test_scores_of_rules_are_from_the_half_that_did_not_choose():
    """The first half chooses other networks than the second; each is judged by the other."""
    first = np.array([[0.9, 0.5, 0.8, 0.7], [0.8, 0.9, 0.79, 0.7]])
    second = np.array([[0.7, 0.5, 0.8, 0.6], [0.8, 0.6, 0.79, 0.7]])
    halves = [
        (second, {OURS: [0, 0, 0, 0], "second": [1, 1, 1, 1], ORACLE: [0, 1, 0, 0]}),
        (first, {OURS: [1, 0, 0, 0], "second": [1, 1, 1, 1], ORACLE: [1, 1, 0, 1]}),
    ]
    found = rule_scores(
        [(D, {name: np.array(rows) for name, rows in chosen.items()}) for D, chosen in halves]
    )
    assert list(found) == [OURS, "second", ORACLE]
    ours = np.array([0.7 + 0.8, 0.5 + 0.5, 0.8 + 0.8, 0.6 + 0.7]) / 2
    other = np.array([0.8 + 0.8, 0.6 + 0.9, 0.79 + 0.79, 0.7 + 0.7]) / 2
    assert found[OURS].dice.value == pytest.approx(ours.mean())
    assert found["second"].behind.value == pytest.approx((ours - other).mean())
    assert found["second"].behind.low < found["second"].behind.value < found["second"].behind.high
    assert found[OURS].behind == Estimate(0, 0, 0)
    # The oracle has 0.75, 0.75, 0.8 and 0.65: our second choice is 0.25 below it.
    assert (found[OURS].good, found["second"].good) == (0.75, 1)


def test_expected_dice_of_the_recommended_network_may_be_too_high():
    true = np.array([[0.9, 0.5], [0.8, 0.9]])
    mean = np.array([[0.9, 0.9], [0.5, 0.8]])
    found = scores(true, mean, mean - 0.02, mean + 0.02, mean.argmax(0), {})
    assert found.optimism == pytest.approx(0.2)


def test_coverage_counts_all_networks_and_the_recommended_ones():
    random = np.random.default_rng(1)
    mean = np.full((10, 400), 0.5) + 0.001 * np.arange(10)[:, None]
    true = mean + 0.05 * random.normal(size=mean.shape)
    half = 1.645 * 0.05
    ours = mean.argmax(0)
    found = scores(true, mean, mean - half, mean + half, ours, {})
    assert found.coverage.value == pytest.approx(0.9, abs=0.02)
    assert found.coverage.low < found.coverage.value < found.coverage.high
    assert found.coverage_recommended.value == pytest.approx(0.9, abs=0.05)
    assert found.half_width == pytest.approx(1.645 * 0.05, abs=1e-3)
    assert found.error == pytest.approx(0.05, rel=0.05)
    assert scores(true, mean, mean - half / 5, mean + half / 5, ours, {}).coverage.value < 0.3


def known_check(outside=10, other=0.0):
    """Return a check of a model that knows every Dice, and the structures that judge differ."""
    train = Axes.main.conditions(MAIN_AXES)
    ids = tuple(f"gold/net/{c.id}/0" for c in train)
    dice = np.array([[true_dice(a, b) for b in train] for a in train])
    networks = Networks(ids, tuple(train), dice, tuple(train))
    given = 0, lambda condition: True, Axes.main
    inside, outside = drawn_inside(RANGES, 30, *given), drawn_outside(RANGES, outside, *given)
    interval = Known(train).interval(None, profiles([*inside, *outside]))
    true = interval[0]
    halves = [Half(dice, true, true, true - other), Half(dice, true, true, true + other)]
    return check(networks, interval, true, halves, inside, outside, profiles, 0)


def test_a_model_that_knows_every_dice_is_as_good_as_the_oracle():
    found = known_check()
    assert (found.inside.number, found.outside.number, found.networks) == (30, 10, 16)
    assert found.inside.rules[ORACLE].behind == Estimate(0, 0, 0)
    assert found.inside.coverage.value == 1
    assert found.inside.rules["best on average"].behind.low > 0
    content = json.loads(json.dumps(found.as_dict()))
    assert content["inside"]["rules"][NEAREST]["behind"]["value"] >= 0
    none = known_check(outside=0).as_dict()
    assert none["outside"]["rules"] == {}
    assert none["outside"]["error"] is None
    assert "NaN" not in json.dumps(none)


def test_both_halves_judge():
    """One half has images that are harder for all networks, and the other easier ones."""
    plain, other = known_check(), known_check(other=0.03)
    for name, rule in plain.inside.rules.items():
        assert other.inside.rules[name].dice.value == pytest.approx(rule.dice.value)


def test_the_text_says_how_much_better_the_recommended_network_is():
    said = text(known_check())
    assert "30 microscopes inside the ranges of the study, 10 outside, 16 networks" in said
    rule = known_check().inside.rules["best on average"]
    row = next(line for line in said.splitlines() if line.startswith("| best on average"))
    for found, digits in ((rule.dice, 3), (rule.behind, 4)):
        numbers = (f"{x:.{digits}f}" for x in (found.value, found.low, found.high))
        assert "{} ({} to {})".format(*numbers) in row
    assert f"| recommended minus {NEAREST} | 0.0000 (0.0000 to 0.0000) |" in said
