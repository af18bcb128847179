"""Keys that an earlier version had: dropped at their defaults, and refused with other values."""

import json
from pathlib import Path

import pytest
import yaml
from bare_stores import write_bare

from passband import cli
from passband.config import (
    SOURCE,
    ConfigError,
    Study,
    load,
    load_stored,
    removed_keys,
    validate,
    validate_stored,
)
from passband.config.base import blocks_of
from passband.config.removed_keys import Removed
from passband.jobs.running import Running
from passband.results import Results, layout, locate, published

ROOT = Path(__file__).parents[2]
SMALLEST = yaml.safe_load((ROOT / "tests" / "data" / "smallest.yaml").read_text())
REMOVED = removed_keys.REMOVED
DEFAULTS = {
    "training": {"warm_up": 0},
    "specimens": {"gold": {"holes": {"deep": True}}},
    "grid": {"step": 1.5},
    "views": {"angles": [1, 2]},
}


@pytest.fixture(autouse=True)
def removed(monkeypatch):
    keys = {
        "training.warm_up": Removed(0, "networks always warm up"),
        "specimens.*.holes.deep": Removed(True, "every hole is deep"),
        "specimens.*.holes": Removed({}, "substrate.thickness_std_nm has holes"),
        "grid.step": Removed(1.5, "write the values"),
        "views.angles": Removed([1, 2], "views are at fixed angles"),
        "views": Removed({}, "there are no views"),
        "test_grid.plan": Removed(None, "points stand in a CSV file"),
    }
    monkeypatch.setattr(removed_keys, "REMOVED", keys)


@pytest.mark.parametrize("path", REMOVED)
def test_what_is_removed_is_no_key(path):
    models = [Study]
    for name in path.split("."):
        known = [model.model_fields[name] for model in models if name in model.model_fields]
        models = [each for field in known for each in blocks_of(field.annotation)] or models
    assert not known


def given(**changes):
    """Return the smallest study with further keys in its blocks."""
    return _joined(SMALLEST, changes)


def _joined(block, changes):
    inner = {
        name: _joined(block.get(name, {}), value) if isinstance(value, dict) else value
        for name, value in changes.items()
    }
    return block | inner


def test_keys_at_their_defaults_are_dropped_with_one_remark():
    study = validate(given(**DEFAULTS))
    assert study.model_dump() == validate(SMALLEST).model_dump()
    assert study.digest == validate(SMALLEST).digest
    (remark,) = study.remarks
    assert remark == (
        "training.warm_up, specimens.*.holes, grid.step and views: were removed from Passband; the "
        "study has their defaults, so nothing changes; delete these keys"
    )
    (remark,) = validate(given(training={"warm_up": 0})).remarks
    assert remark == (
        "training.warm_up: was removed from Passband; the study has its default, so nothing "
        "changes; delete this key"
    )
    assert validate(SMALLEST).remarks == []


def test_a_removed_key_of_two_specimens_is_named_once():
    gold = SMALLEST["specimens"]["gold"] | {"holes": {}}
    study = validate(SMALLEST | {"specimens": {"gold": gold, "other": gold}})
    assert len(study.remarks) == 1
    assert study.remarks[0].startswith("specimens.*.holes: was removed")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"training": {"warm_up": 3}},
            "training.warm_up = 3: this key was removed; networks always warm up",
        ),
        (
            {"training": {"warm_up": False}},  # False == 0
            "training.warm_up = False: this key was removed; networks always warm up",
        ),
        (
            {"specimens": {"gold": {"holes": {"deep": False}}}},
            "specimens.gold.holes.deep = False: this key was removed; every hole is deep",
        ),
        (
            {"specimens": {"gold": {"holes": {"wide": 1}}}},
            "specimens.gold.holes = {'wide': 1}: this key was removed; "
            "substrate.thickness_std_nm has holes",
        ),
        ({"views": 3}, "views = 3: this key was removed; there are no views"),
        (
            {"grid": [{**SMALLEST["grid"], "step": 2}]},
            "grid[0].step = 2: this key was removed; write the values",
        ),
        (
            {"test_grid": {"plan": None}},
            "test_grid.plan = None: this key was removed; points stand in a CSV file",
        ),
    ],
)
def test_another_value_is_refused_with_what_replaces_the_key(changes, line):
    with pytest.raises(ConfigError) as raised:
        validate(given(**changes), "mine.yaml")
    assert str(raised.value) == f"mine.yaml: {line}"


def test_other_mistakes_are_named_too():
    with pytest.raises(ConfigError) as raised:
        validate(given(training={"warm_up": 3, "epochs": 0}), "mine.yaml")
    removed, epochs = str(raised.value).splitlines()
    assert removed.startswith("mine.yaml: training.warm_up = 3: ")
    assert epochs.startswith("mine.yaml: training.epochs = 0: must be ")


def test_stored_configurations_may_have_any_value(tmp_path):
    changes = {
        "training": {"warm_up": 3},
        "specimens": {"gold": {"holes": {"deep": False, "wide": 2}}},
        "grid": {"step": None},
        "views": 7,
        "test_grid": {"plan": "any"},
    }
    content = given(**changes)
    study = validate_stored(content)
    assert study.model_dump() == validate(SMALLEST).model_dump()
    assert study.remarks == []
    assert content == given(**changes)  # it is the caller's
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(content))
    assert load_stored(file) == study
    with pytest.raises(ConfigError, match=r"warm_up = 3: this key was removed"):
        load(file)


def test_the_command_line_prints_the_remark_and_refuses_a_change(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(yaml.safe_dump(given(training={"warm_up": 0})))
    assert cli.main(["status", "mine.yaml"]) == 0
    assert capsys.readouterr().err.startswith("training.warm_up: was removed from Passband; ")
    assert cli.main(["check", "mine.yaml", "--set", "training.warm_up=3"]) != 0
    err = capsys.readouterr().err
    assert "mine.yaml with --set: training.warm_up = 3: this key was removed" in err


def test_stores_published_folders_and_jobs_have_stored_configurations(tmp_path, monkeypatch):
    content, expected = given(training={"warm_up": 3}), validate(SMALLEST)
    write_bare(tmp_path / layout.TABLE, configuration=json.dumps(content))
    assert locate.recorded(tmp_path) == expected
    (tmp_path / published.WEIGHTS).touch()
    (tmp_path / published.STUDY).write_text(yaml.safe_dump(content))
    monkeypatch.setattr(published, "check", lambda folder: None)
    assert Results(None, tmp_path).study == expected
    job = Running("train", content | {SOURCE: "mine.yaml"}, tmp_path / "train.log")
    assert job.study == expected
