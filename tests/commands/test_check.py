"""``passband check`` and ``plan`` with the option ``--set``."""

import pytest

from passband import cli
from passband.config import load
from passband.runs import calibration, plan

FILE = """
specimens: {one: &same {diameter_nm: {max: 2.9}}, two: *same}
training: {epochs: 5, architectures: [compact-w4-d2]}
grid: [{defocus_nm: [5]}, {defocus_nm: [9]}]
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(FILE)
    return "mine.yaml"


@pytest.mark.parametrize(
    ("changes", "key", "value"),
    [
        (["training.epochs=3"], "training.epochs", 3),
        (["training.epochs=3", "training.epochs=4"], "training.epochs", 4),
        (["training.augment=false"], "training.augment", False),
        (["training.learning_rate=1"], "training.learning_rate", 1.0),
        (["training.learning_rate=1e-3"], "training.learning_rate", 0.001),
        (["training.decay=9E-1"], "training.decay", 0.9),
        (["information.bands_per_A=[1e-1, .5e0]"], "information.bands_per_A", [0.1, 0.5]),
        (["training.architectures=[compact-w8-d3]"], "training.architectures", ["compact-w8-d3"]),
        (["evaluation.test_own=true"], "evaluation.test_own", True),  # the file has no such block
        (["study.name=other"], "study.name", "other"),
    ],
)
def test_a_change_has_the_type_of_its_key(file, changes, key, value):
    study = load(file, changes)
    block, _, name = key.partition(".")
    found = getattr(getattr(study, block), name)
    assert found == value
    assert type(found) is type(value)
    before = load(file).written()
    assert study.written() == before | {block: before[block] | {name: value}}


def test_a_change_is_not_a_change_of_a_block_that_an_alias_repeats(file):
    specimens = load(file, ["specimens.one.diameter_nm.max=2.8"]).specimens
    assert [specimen.diameter_nm.max for specimen in specimens.values()] == [2.8, 2.9]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("training.epohs=3", "training.epohs = 3: unknown key; did you mean epochs? allowed: "),
        ("trainig.epochs=3", "trainig = {'epochs': 3}: unknown key; did you mean training? all"),
        ("epochs=3", "epochs = 3: unknown key; did you mean training.epochs? allowed: "),
        (
            "training.defocus_nm=3",
            "training.defocus_nm = 3: unknown key; did you mean grid.defocus",
        ),
        ("training.epochs=1e1", "training.epochs = 10.0: must be an integer between 1 and 10000"),
        ("training.epochs=[3", "--set = 'training.epochs=[3': line 1: not YAML: "),
        (
            "training.epochs=3: 4",
            "--set = 'training.epochs=3: 4': line 1: not YAML: mapping values",
        ),
        ("training.epochs=x", "training.epochs = 'x': must be an integer between 1 and 10000"),
        ("training.epochs='3'", "training.epochs = '3': must be an integer between 1 and 10000"),
        ("training.epochs=[1, 2]", "training.epochs = [1, 2]: must be an integer between 1 and"),
        ("training.epochs=", "training.epochs = None: must be an integer between 1 and 10000"),
        ("training=3", "training = 3: must be a block of keys"),
        ("training.epochs.x=3", "training.epochs = 5 is no block of keys; set the whole of it"),
        ("grid.defocus_nm=[5]", "grid = [{'defocus_nm': [5]}, {'defocus_nm': [9]}] is no block of"),
        ("training.epochs", "--set = 'training.epochs': must be a key, '=' and a value, as epochs"),
        ("=3", "--set = '=3': must be a key, '=' and a value"),
        ("training.epochs=3\nx: 4", r"--set = 'training.epochs=3\nx: 4': must be a key, '=' and a"),
        ("__source__=x", "__source__: a key must not begin with '__'"),
    ],
)
@pytest.mark.parametrize("name", ["check", "plan"])
def test_a_wrong_change_is_one_line(file, capsys, name, change, says):
    assert cli.main([name, file, "--set", change]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert "--set" in err
    assert err.count("\n") == 1


def test_check_counts_the_jobs_of_the_changed_study(file, capsys):
    assert cli.main(["check", file, "--set", "grid={defocus_nm: [5, 6, 7]}"]) == 0
    changed = plan.summary(load(file, ["grid={defocus_nm: [5, 6, 7]}"]), listed=True)
    assert capsys.readouterr().out == f"{changed}\n"
    assert "24 to train under" in changed


def test_plan_is_of_the_changed_study_which_has_no_results(file, capsys, monkeypatch):
    planned = []
    monkeypatch.setattr(calibration, "calibrate", lambda *arguments: None)
    monkeypatch.setattr(plan, "plan", lambda results, _: planned.append(results) or "")
    assert cli.main(["plan", file, "--set", "training.epochs=3"]) == 0
    assert planned[0].study.training.epochs == 3
    assert not planned[0].folder.exists()
