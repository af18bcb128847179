"""The experiment with chosen networks on further structures, on a small study."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml
from recommended import STRUCTURES, make_results, make_study
from toy_networks import true_dice

from findings.choosing import choices
from passband import PassbandError
from passband.config import validate
from passband.grid import is_condition
from passband.matrices.packed import DRAWN, packed, packed_mean
from passband.prediction.recommend.microscopes import first_replica_microscopes
from passband.results import layout
from passband.scores import OUTCOMES
from passband.storage import datasets

NUMBER, FURTHER = 3, 2


@pytest.fixture(autouse=True)
def in_a_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def counts(train, test, structures):
    """Return counts (train, test, structure, outcome) of a known Dice, the mixture's being 0.7."""
    D = np.array(
        [[0.7 if each is None else true_dice(each, there) for there in test] for each in train]
    )
    D = np.clip(D[..., None] + 0.01 * np.linspace(-1, 1, STRUCTURES + FURTHER)[:structures], 0, 1)
    tp = np.round(1e5 * D)
    return np.stack([tp, 1e5 - tp, 1e5 - tp], -1)


@pytest.fixture
def stored(tmp_path):
    """A study with first replicas under drawn microscopes; its file and its results."""
    content = make_study(replicas=2).model_dump(mode="json")
    content["evaluation"] |= {"microscopes": NUMBER, "test_own": False}
    study = validate(content)
    results = make_results(study, tmp_path)
    (tmp_path / "whole.yaml").write_text(yaml.safe_dump(content))
    table = datasets.read(results / layout.TABLE, datasets.TABLE).load()
    drawn = first_replica_microscopes(study)
    ids = [condition.id for condition in drawn]
    of_drawn = counts(study.train_conditions, drawn, STRUCTURES)[None, None, :, None]
    dims = ("specimen", "architecture", "train", "test_specimen", "microscope")
    table["microscope_counts"] = ((*dims, "structure", "outcome"), of_drawn)
    dice = (of_drawn[..., 0] / 1e5).mean(-1).astype("float32")
    table["microscope_dice"] = (dims, dice)
    coords = study.axes.coordinates(ids, "microscope") | {"microscope": ids}
    shutil.rmtree(results / layout.TABLE)
    made = packed(table.assign_coords(coords)).drop_encoding()
    made = made.assign(dice=packed_mean(made), microscope_dice=packed_mean(made, DRAWN))
    datasets.write(made, results / layout.TABLE, datasets.TABLE, {})
    return tmp_path / "whole.yaml", results


def trained(content, worse=0.0):
    """Write the table of the study that trains the chosen networks, and return it packed."""
    study = validate(content)
    train = [study.axes.parse(id) if is_condition(id) else None for id in study.train_ids]
    found = counts(train, study.test_conditions, study.study.structures.test)
    found[..., 0] -= worse
    dims = ("specimen", "architecture", "train", "replica", "test_specimen", "test")
    found = np.repeat(found[None, None, :, None, None], 2, axis=3)
    found[:, :, :, 1, ..., 0] -= 1000.0  # Dice of the second replica is 0.003 lower
    tests = [condition.id for condition in study.test_conditions]
    table = xr.Dataset(
        {
            "counts": ((*dims, "structure", "outcome"), found),
            "dice": (dims, (found[..., 0] / 1e5).mean(-1).astype("float32")),
        },
        {
            **{"specimen": ["gold"], "architecture": study.training.architectures},
            **{"train": study.train_ids, "replica": [0, 1], "test_specimen": ["gold"]},
            **{"test": tests, "outcome": list(OUTCOMES)},
            **study.axes.coordinates(study.train_ids, "train"),
            **study.axes.coordinates(tests, "test"),
        },
    )
    folder = Path("results") / study.study.name
    datasets.write(table, folder / layout.TABLE, datasets.TABLE, {})
    return packed(table)


def test_chosen_networks_are_judged_on_further_structures(stored, monkeypatch, capsys):
    whole, results = stored
    monkeypatch.setattr(choices, "trained", lambda content, cores: trained(content))
    assert choices.write(1, results, whole, Path(), structures=STRUCTURES + FURTHER) == 0
    assert "0.0000 from the stored Dice" in capsys.readouterr().out
    with Path("choices.csv").open() as file:
        head, *rows = csv.reader(file)
    assert head == ["microscope", "rule", "train", "6", "7"]
    rules = [choices.OURS, choices.NEAREST, choices.AVERAGE, choices.THERE, choices.MIXTURE]
    assert [row[1] for row in rows] == [rule for rule in rules for _ in range(NUMBER)]
    study = validate(yaml.safe_load(whole.read_text()))
    further = 0.01 * np.linspace(-1, 1, STRUCTURES + FURTHER)[STRUCTURES:]
    for microscope, rule, train, *dice in rows:
        known = 0.7
        if rule != choices.MIXTURE:
            known = true_dice(study.axes.parse(train), study.axes.parse(microscope))
        np.testing.assert_allclose(np.array(dice, float), known + further - 0.0015, atol=2e-3)
        assert (train == microscope) == (rule == choices.THERE)


def test_networks_that_give_other_numbers_than_stored_are_refused(stored, monkeypatch):
    whole, results = stored
    monkeypatch.setattr(choices, "trained", lambda content, cores: trained(content, 2000.0))
    with pytest.raises(PassbandError, match=r"^the networks are not those of the study: 0\.0049"):
        choices.write(1, results, whole, Path(), structures=STRUCTURES + FURTHER)
    assert not Path("choices.csv").exists()


def test_the_table_of_choices_has_what_is_recommended_minus_each_rule(tmp_path):
    random = np.random.default_rng(0)
    lines = [["microscope", "rule", "train", "8", "9"]]
    for rule, mean in ((choices.OURS, 0.9), (choices.NEAREST, 0.8)):
        lines += [[f"m{k}", rule, "a", *(mean + random.normal(0, 0.01, 2))] for k in range(20)]
    text = "\n".join(",".join(map(str, line)) for line in lines)
    (tmp_path / "choices.csv").write_text(text)
    _, _, ours, nearest = choices.summary(tmp_path).splitlines()
    assert "| 0.0000 (0.0000 to 0.0000) |" in ours
    value, low, _, high = nearest.split("|")[3].replace("(", "").replace(")", "").split()
    assert float(low) < 0.1 < float(high)
    assert float(value) == pytest.approx(0.1, abs=0.01)
