"""Scores of recommendations."""

import json

import numpy as np
import pytest
import xarray as xr
from toy_networks import Known, profiles, true_dice

from passband.analysis.bootstrap import Estimate
from passband.grid import Axes
from passband.prediction.recommend.choice_rules import Networks
from passband.prediction.recommend.choice_scores import OURS, check, estimate, scores
from passband.prediction.recommend.microscopes import drawn_inside, drawn_outside

MAIN_AXES = {
    "defocus_nm": [5, 20],
    "cs_um": [1.2, 60],
    "aperture_mrad": [10, 18],
    "dose_e_per_A2": [100, 1000],
}
RANGES = {name: (min(values), max(values)) for name, values in MAIN_AXES.items()}


def test_the_interval_of_a_mean_contains_the_mean_of_many_samples():
    values = np.random.default_rng(0).normal(size=400)
    found = estimate(values, "test")
    assert found.value == pytest.approx(values.mean())
    half = 1.96 * values.std() / 20
    assert found.high - found.low == pytest.approx(2 * half, rel=0.1)


def test_scores_of_chosen_networks():
    true = np.array([[0.9, 0.5, 0.8, 0.7], [0.8, 0.9, 0.79, 0.7]])
    mean = np.array([[0.9, 0.9, 0.7, 0.7], [0.5, 0.8, 0.8, 0.6]])
    found = scores(true, mean, mean - 0.02, mean + 0.02, {"second": np.array([1, 1, 1, 1])})
    assert found.best == pytest.approx(np.mean([0.9, 0.9, 0.8, 0.7]))
    ours, second = found.rules[OURS], found.rules["second"]
    assert list(found.rules) == [OURS, "second"]
    assert ours.regret.value == pytest.approx((0 + 0.4 + 0.01 + 0) / 4)
    assert ours.good == 0.75
    assert second.regret.value == pytest.approx((0.1 + 0 + 0.01 + 0) / 4)
    assert second.more.value == pytest.approx(second.regret.value - ours.regret.value)
    assert ours.more == Estimate(0, 0, 0)
    assert found.optimism == pytest.approx((0 + 0.4 + 0.01 + 0) / 4)


def test_coverage_counts_all_networks_and_the_recommended_ones():
    random = np.random.default_rng(1)
    mean = np.full((10, 400), 0.5) + 0.001 * np.arange(10)[:, None]
    true = mean + 0.05 * random.normal(size=mean.shape)
    half = 1.645 * 0.05
    found = scores(true, mean, mean - half, mean + half, {})
    assert found.coverage.value == pytest.approx(0.9, abs=0.02)
    assert found.coverage.low < found.coverage.value < found.coverage.high
    assert found.coverage_recommended.value == pytest.approx(0.9, abs=0.05)
    assert found.half_width == pytest.approx(1.645 * 0.05, abs=1e-3)
    assert found.error == pytest.approx(0.05, rel=0.05)
    assert scores(true, mean, mean - half / 5, mean + half / 5, {}).coverage.value < 0.3


def test_a_model_that_knows_every_dice_has_no_regret():
    train = Axes.main.conditions(MAIN_AXES)
    ids = tuple(f"gold/net/{c.id}/0" for c in train)
    dice = np.array([[true_dice(a, b) for b in train] for a in train])
    networks = Networks(ids, tuple(train), dice, tuple(train), ids)
    given = 0, lambda condition: True, Axes.main
    inside, outside = drawn_inside(RANGES, 30, *given), drawn_outside(RANGES, 10, *given)
    drawn = [*inside, *outside]
    interval = Known(train).interval(None, profiles(drawn))
    place = {"network": list(ids), "test": [c.id for c in drawn]}
    dims = ("network", "test")
    values = zip(("mean", "low", "high"), interval, strict=True)
    expected = xr.Dataset({name: (dims, value) for name, value in values}, place)
    true = expected["mean"]
    found = check(networks, expected, true, inside, outside, profiles, 0)
    assert (found.inside.number, found.outside.number, found.networks) == (30, 10, 16)
    assert found.inside.rules[OURS].regret.value == 0
    assert found.inside.coverage.value == 1
    assert found.inside.rules["best on average"].regret.low > 0
    content = json.loads(json.dumps(found.as_dict()))
    assert content["inside"]["rules"]["nearest in T(q)"]["more"]["value"] >= 0
    none = check(networks, expected, true, inside, [], profiles, 0).as_dict()
    assert none["outside"]["best"] is None
    assert "NaN" not in json.dumps(none)
