"""The check under drawn microscopes, with results of first replicas there in the table."""

import shutil

import numpy as np
import pytest
import xarray as xr
import yaml
from recommended import STRUCTURES, make_results, make_study
from toy_networks import true_dice

from findings.choosing import drawn_check
from findings.choosing.scores import ORACLE, OURS
from passband import PassbandError
from passband.config import validate
from passband.prediction.recommend.microscopes import first_replica_microscopes
from passband.results import Results, layout
from passband.storage import datasets

pytestmark = pytest.mark.slow
NUMBER = 3


@pytest.fixture(autouse=True)
def in_a_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def stored(tmp_path) -> Results:
    """A study with two replicas, of which the first were tested under drawn microscopes."""
    content = make_study(replicas=2).model_dump(mode="json")
    content["evaluation"] |= {"microscopes": NUMBER, "test_own": False}
    study = validate(content)
    results = make_results(study, tmp_path)
    drawn = first_replica_microscopes(study)
    D = np.array([[true_dice(a, b) for b in drawn] for a in study.train_conditions])
    tp = np.round(1e5 * np.clip(D[..., None] + 0.01 * np.linspace(-1, 1, STRUCTURES), 0, 1))
    counts = np.stack([tp, 1e5 - tp, 1e5 - tp], -1)[None, None, :, None]
    dims = ("specimen", "architecture", "train", "test_specimen", "microscope")
    table = datasets.read(results / layout.TABLE, datasets.TABLE).load()
    table["microscope_counts"] = ((*dims, "structure", "outcome"), counts)
    table["microscope_dice"] = (dims, (counts[..., 0] / 1e5).mean(-1).astype("float32"))
    ids = [condition.id for condition in drawn]
    _write(table.assign_coords(microscope=ids), results)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(content))
    return Results(study, results)


def _write(table, results):
    shutil.rmtree(results / layout.TABLE)
    datasets.write(table.drop_encoding(), results / layout.TABLE, datasets.TABLE, {})


def test_results_of_first_replicas_need_no_networks(stored, monkeypatch, capsys):
    monkeypatch.setattr(drawn_check, "evaluate_extra", None)
    found = drawn_check.run(stored, NUMBER)
    assert (found.networks, found.first_replicas) == (16, True)
    assert (found.inside.number, found.seed) == (NUMBER, 0)
    assert found.inside.rules[OURS].dice.value > 0.7
    assert drawn_check.main(["config.yaml", f"{NUMBER}"]) == 0
    out = capsys.readouterr().out
    assert "16 networks (the first replica of each training condition" in out
    assert f"| {OURS} |" in out


def test_more_microscopes_than_the_table_has_need_networks(stored, monkeypatch):
    lines = []

    def untrained(*_, **__):
        raise PassbandError("the study has no finished networks")

    monkeypatch.setattr(drawn_check, "evaluate_extra", untrained)
    with pytest.raises(PassbandError, match="no finished networks"):
        drawn_check.run(stored, 9, log=lines.append)
    assert lines[0].startswith("the table of results lacks ")
    assert lines[0].endswith(" microscopes, so all networks are tested")


def test_the_models_do_not_know_the_microscopes(stored):
    """Other results under the microscopes change true Dice, and not the expected Dice."""
    found = drawn_check.run(stored, NUMBER)
    table = datasets.read(stored.folder / layout.TABLE, datasets.TABLE).load()
    _write(table.assign(microscope_dice=table.microscope_dice - 0.1), stored.folder)
    again = drawn_check.run(Results(stored.study, stored.folder), NUMBER)
    assert again.inside.half_width == found.inside.half_width
    shift = again.inside.optimism - found.inside.optimism
    assert shift == pytest.approx(0.1, abs=1e-5)


def test_each_half_of_the_structures_judges_what_the_other_half_chose(stored):
    """Dice of 0 in one half changes what this half says, and no choice by the other half."""
    found = drawn_check.run(stored, NUMBER).inside.rules
    table = datasets.read(stored.folder / layout.TABLE, datasets.TABLE).load()
    parts = []
    for half in (0, 1):
        here = xr.DataArray(np.arange(STRUCTURES) % 2 == half, dims="structure")
        nothing = xr.DataArray([0, 1, 1], dims="outcome")  # no pixel is found
        _write(
            table.assign(microscope_counts=table.microscope_counts.where(here, nothing)),
            stored.folder,
        )
        parts.append(drawn_check.run(Results(stored.study, stored.folder), NUMBER).inside.rules)
    for name in set(found) - {ORACLE}:
        sums = sum(part[name].dice.value for part in parts)
        assert sums == pytest.approx(found[name].dice.value), name


def test_one_test_structure_cannot_both_choose_and_judge(stored):
    table = datasets.read(stored.folder / layout.TABLE, datasets.TABLE).load()
    _write(table.isel(structure=[0]), stored.folder)
    with pytest.raises(PassbandError, match="has one test structure; a check needs 2 or more"):
        drawn_check.run(Results(stored.study, stored.folder), NUMBER)


@pytest.mark.parametrize("words", [[], ["demo"], ["demo", "many"]])
def test_missing_words_show_the_usage(words, capsys):
    assert drawn_check.main(words) == 2
    assert capsys.readouterr().err.startswith("usage: python -m findings.choosing.drawn_check")


def test_an_unknown_study_is_one_line(capsys):
    assert drawn_check.main(["nothing", "3"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
