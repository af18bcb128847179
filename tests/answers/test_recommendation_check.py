"""The check of recommendations, with a table of results whose Dice is known."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from recommended import STRUCTURES, make_results, make_study

from passband import PassbandError
from passband.answers import tested_networks
from passband.answers.recommendation_check import check
from passband.answers.tested_networks import TestedNetworks
from passband.config import validate
from passband.door import Experiment
from passband.matrices.of_study import matrices
from passband.results import Results, layout
from passband.storage import datasets

pytestmark = pytest.mark.slow


def open_(tmp_path, specimen=None, without=0, **options):
    study = make_study(**options)
    results = Results(study, make_results(study, tmp_path, without=without))
    return TestedNetworks.open(results, specimen)


def test_the_best_network_is_recommended_where_dice_follows_the_transfer(tmp_path):
    found = check(open_(tmp_path, replicas=2))
    assert (found.study, found.specimen, found.networks) == ("known", "gold", 32)
    assert list(found.conditions) == [c.id for c in make_study(replicas=2).test_conditions]
    assert (found.trained_there, found.outside, found.skipped) == (16, 0, ())
    assert found.structures == STRUCTURES
    assert found.refitted
    # The nearest network is trained there, and its first replica is the best there. Networks of
    # another Cs and aperture, which the known Dice does not depend on, are as good.
    assert found.every.nearest.value == pytest.approx(0, abs=1e-6)
    assert found.every.tested.value == pytest.approx(0, abs=1e-6)
    assert found.every.recommended.value < 0.03
    assert found.new is not None
    assert found.new.recommended.value < 0.03
    assert 0.5 < found.coverage.value <= 1
    assert found.half_width > 0
    assert 0 < found.error < 0.2


def test_networks_that_did_not_learn_are_not_chosen(tmp_path, monkeypatch):
    tested = open_(tmp_path)
    ids = [id for rows in tested.of_matrices for id in rows.networks]
    monkeypatch.setattr(TestedNetworks, "unlearned", frozenset(ids[:6]))
    found = check(tested)
    assert found.networks == 10
    assert found.trained_there == 10
    monkeypatch.setattr(TestedNetworks, "unlearned", frozenset(ids))
    with pytest.raises(PassbandError, match="no network of the study has learned, so none is"):
        check(tested)


def test_further_tests_are_left_out_too(tmp_path, monkeypatch):
    tested = open_(tmp_path)
    table = tested.results.table.load()
    own, further = (table.isel(test=part) for part in (slice(0, -2), slice(-2, None)))
    monkeypatch.setattr(tested_networks, "read_further", lambda *_: further)
    means = tuple(matrices(further[["dice"]]))
    split = replace(
        tested, matrices=tuple(matrices(own, study=tested.study)), further_matrices=means
    )
    found, whole = check(split), check(tested)
    assert set(found.conditions) == set(whole.conditions)
    assert found.every.tested.value == pytest.approx(whole.every.tested.value, abs=1e-6)
    assert found.error == pytest.approx(whole.error, rel=1e-2)


def test_each_specimen_has_its_check(tmp_path):
    study = make_study(specimens=("gold", "silver"))
    results = Results(study, make_results(study, tmp_path))
    found = check(TestedNetworks.open(results, "silver"))
    assert (found.specimen, found.networks, found.trained_there) == ("silver", 32, 16)
    assert found.every.nearest.value == pytest.approx(0, abs=1e-6)  # a network of silver


def test_a_mixture_is_recommended_and_near_nothing(tmp_path):
    content = make_study().model_dump(mode="json")
    tests = content["grid"]
    content |= {"grid": [tests, {"mixture": {"name": "all", "over": "grid"}}], "test_grid": tests}
    study = validate(content)
    (id,) = (id for id in study.train_ids if id.startswith("all-"))
    make_results(make_study(), tmp_path)
    table = datasets.read(tmp_path / "results/known" / layout.TABLE, datasets.TABLE).load()
    mixed = table.isel(train=[0]).assign_coords(train=[id], **study.axes.coordinates([id], "train"))
    perfect = xr.DataArray([1e5, 0, 0], dims="outcome")
    mixed["counts"] = xr.zeros_like(mixed.counts) + perfect
    mixed["dice"] = xr.ones_like(mixed.dice)
    both = xr.concat([table, mixed], "train", data_vars="minimal")
    tested = replace(
        TestedNetworks.open(Results(make_study(), tmp_path / "results/known")),
        results=Results(study, tmp_path / "results/known"),
        matrices=tuple(matrices(both)),
    )
    vars(tested)["unlearned"] = frozenset()
    found = check(tested)
    assert found.networks == 17
    # It is the best everywhere, and is chosen, and the nearest is none the less a single network.
    assert found.every.recommended.value == pytest.approx(0, abs=1e-6)
    assert found.every.nearest.value > 0.02


def test_one_structure_chooses_and_judges(tmp_path):
    tested = open_(tmp_path)
    one = matrices(tested.results.table.isel(structure=[0]), study=tested.study)
    found = check(replace(tested, matrices=tuple(one)))
    assert found.structures == 1
    assert found.every.tested.value == 0


def test_a_study_with_one_test_condition_is_refused(tmp_path):
    study = make_study()
    study = study.model_copy(
        update={
            "test_grid": type(study.test_grid)(
                defocus_nm=[5.0], cs_um=[1.2], aperture_mrad=[10.0], dose_e_per_A2=[100.0]
            )
        }
    )
    opened = Experiment(study, make_results(study, tmp_path))
    message = "known: has 1 test condition with results; a recommendation needs 4 or more$"
    with pytest.raises(PassbandError, match=message):
        opened.check_recommendations()


def test_python_and_the_check_say_the_same(tmp_path, monkeypatch):
    tested = open_(tmp_path)
    opened = Experiment(tested.study, tested.results.folder)
    assert opened.check_recommendations("gold") == check(tested)
    monkeypatch.setattr(Experiment, "is_published", True)
    with pytest.raises(PassbandError, match="is the folder of a published network; give the study"):
        opened.check_recommendations()


def test_conditions_outside_the_others_and_too_dark_ones_are_counted(tmp_path):
    study = make_study(
        defocus_nm=[5, 20], cs_um=[1.2], aperture_mrad=[10], dose_e_per_A2=[100, 900]
    )
    points = [c.values() for c in study.train_conditions]
    points += [points[0] | {"dose_e_per_A2": 20}, points[0] | {"defocus_nm": 30}]
    content = study.model_dump(mode="json") | {"test_grid": {"points": points}}
    study = validate(content)
    found = check(TestedNetworks.open(Results(study, make_results(study, tmp_path))))
    (dark,) = found.skipped
    assert "_ds000020.00" in dark
    assert len(found.conditions) == 5
    assert found.outside == 1
    assert np.isfinite(found.error)
