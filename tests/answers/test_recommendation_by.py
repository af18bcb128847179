"""Recommendations by numbers of particles in place of Dice."""

import numpy as np
import pytest
from recommended import STRUCTURES, add_particles, make_results, make_study

from passband import PassbandError
from passband.answers import tested_networks
from passband.answers.recommendation import recommend_from
from passband.answers.recommendation_check import check
from passband.answers.tested_networks import TestedNetworks
from passband.grid import Condition
from passband.prediction.range_of_use import Asked
from passband.results import Results
from passband.storage import datasets

pytestmark = pytest.mark.slow

HERE = Condition(5, 1.2, 10, 100)


@pytest.fixture
def results(tmp_path):
    study = make_study()
    folder = make_results(study, tmp_path)
    add_particles(study, folder)
    return Results(study, folder)


def test_another_network_is_best_by_particles(results):
    by_dice = recommend_from(TestedNetworks.open(results), Asked.at(HERE))
    by_f1 = recommend_from(TestedNetworks.open(results, score="instance_f1"), Asked.at(HERE))
    values = {network.id: network.dice.value for network in by_dice.networks}
    for network in by_f1.networks:
        assert network.dice.value == pytest.approx(1 - values[network.id], abs=2e-3)
    worst = by_dice.networks[-1].dice
    best = by_f1.networks[0].dice
    assert best.value == pytest.approx(1 - worst.value, abs=2e-3)
    assert best.value > by_f1.networks[-1].dice.value + 0.1
    assert best.high - best.low == pytest.approx(worst.high - worst.low, abs=2e-3)
    assert by_f1.ranked_by == "measured F1 of particles"
    assert "expected F1 of particles" in str(by_f1)
    assert "Dice" not in str(by_f1)
    assert by_dice.ranked_by == "measured Dice"


def test_an_error_is_rated_by_its_size(results):
    found = recommend_from(TestedNetworks.open(results, score="count_error"), Asked.at(HERE))
    by_dice = recommend_from(TestedNetworks.open(results), Asked.at(HERE))
    values = {network.id: network.dice.value for network in by_dice.networks}
    assert {network.id for network in found.networks} == values.keys()
    for network in found.networks:
        assert network.dice.value == pytest.approx(1 - values[network.id] / 2, abs=2e-3)


def test_models_of_both_are_kept_apart(results):
    between = Asked.at(Condition(8, 1.2, 10, 300))
    expected = {
        score: recommend_from(TestedNetworks.open(results, score=score), between).networks[0].dice
        for score in ("dice", "instance_f1", "dice", "instance_f1")
    }
    again = recommend_from(TestedNetworks.open(results, score="instance_f1"), between)
    assert again.networks[0].dice == expected["instance_f1"] != expected["dice"]
    names = {path.name for path in results.folder.rglob("*.json")}
    assert {"gold-table.json", "gold-table-instance_f1.json"} <= names


def test_further_tests_are_used_with_their_particles(results, monkeypatch):
    table = results.table.load()
    own, last = table.isel(test=slice(0, -1)), table.isel(test=slice(-1, None))
    datasets.write(own.drop_encoding(), results.folder / "table.zarr", datasets.TABLE, {})
    asked = []

    def read(_, variables):
        asked.extend(variables)
        return last[variables]

    monkeypatch.setattr(tested_networks, "read_further", read)
    opened = TestedNetworks.open(Results(results.study, results.folder), score="instance_f1")
    assert [condition.id for condition in opened.further] == last.test.values.tolist()
    measured = opened.measured(opened.further)
    whole = TestedNetworks.open(results, with_further=False, score="instance_f1")
    np.testing.assert_allclose(measured.mean, whole.measured(opened.further).mean)
    assert asked == ["particles"]


def test_a_check_says_what_is_lost_of_the_score(results):
    found = check(TestedNetworks.open(results, score="instance_f1"))
    assert found.structures == STRUCTURES
    assert "of F1 of particles against the best" in str(found)
    assert "Dice" not in str(found)


def test_a_score_that_a_table_lacks_is_named(results, tmp_path):
    with pytest.raises(PassbandError, match=r"^by = 'f2': must be one of dice, instance_f1, count"):
        TestedNetworks.open(results, score="f2")
    table = results.table.load().drop_vars("particles")
    datasets.write(table.drop_encoding(), results.folder / "table.zarr", datasets.TABLE, {})
    without = Results(results.study, results.folder)
    with pytest.raises(PassbandError, match=r"^by = 'instance_f1': must be one of dice$"):
        TestedNetworks.open(without, score="instance_f1")
