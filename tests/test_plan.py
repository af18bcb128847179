"""What a study asks for, counted and foretold; test_workflow compares it with a real run."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passband import cli, grid, plan, status
from passband.batches import Batches
from passband.config import Study, Training, load, validate

ROOT = Path(__file__).parents[1]
SMALLEST = ROOT / "studies" / "smallest.yaml"
SPEEDS = plan.Speeds(
    device="cpu",
    unit="core",
    start=2.0,
    structure={"gold": 10.0},
    wave_bytes={"gold": 1000.0},
    image=0.5,
    step={"compact-w4-d2": 3.0},
    predict={"compact-w4-d2": 1.0},
    weight_bytes={"compact-w4-d2": 100.0},
    memory={"compact-w4-d2": 2.5e9},
)


def changed(**blocks) -> Study:
    """The smallest study with keys of its blocks changed."""
    given = load(SMALLEST).model_dump()
    for block, keys in blocks.items():
        given[block] |= keys
    return validate(given)


@given(structures=st.integers(2, 70), batch=st.integers(2, 40), epochs=st.integers(1, 5))
def test_steps_are_those_of_the_batches(structures, batch, epochs):
    study = changed(
        study={"structures": {"train": structures, "val": 4, "test": 4}},
        training={"batch_size": batch, "epochs": epochs},
    )
    batches = Batches(range(structures), Training(batch_size=batch))
    assert plan.counts(study).steps_per_network == epochs * len(batches)


def test_counts_of_the_smallest_study_by_hand():
    counted = plan.counts(load(SMALLEST))
    assert counted.networks == 8
    assert counted.cells == 4
    assert counted.jobs["simulate"] == 2 + 1 + 1
    assert counted.jobs["train"] == counted.jobs["evaluate"] == 4  # two replicas in each
    assert counted.steps_per_network == 2 * 3
    assert counted.trained_on == 2 * 12 + 4
    assert counted.tested_on == 4 * 4


def test_fixed_noise_forms_images_once():
    assert plan.counts(changed(training={"noise": "fixed"})).trained_on == 12 + 4


def test_jobs_of_an_odd_number_of_replicas():
    counted = plan.counts(changed(study={"replicas": 5, "replicas_per_job": 2}))
    assert counted.jobs["train"] == 4 * 3
    assert counted.networks == 4 * 5


def test_every_network_is_tested_on_every_specimen_and_condition():
    study = load(SMALLEST).model_dump()
    study["specimens"]["silver"] = study["specimens"]["gold"] | {"material": "Ag"}
    study["test_grid"]["defocus_nm"] = [5.0, 10.0, 20.0]
    counted = plan.counts(validate(study))
    assert counted.networks == 16
    assert counted.tested_on == 2 * 4 * 6
    assert counted.jobs["simulate"] == 8


def test_a_specimen_that_is_only_tested_on_costs_its_test_structures():
    study = load(SMALLEST).model_dump()
    alone = validate(study)
    study["specimens"]["silver"] = study["specimens"]["gold"] | {"material": "Ag", "trained": False}
    both = validate(study)
    counted, before = plan.counts(both), plan.counts(alone)
    assert counted.jobs == before.jobs | {"simulate": before.jobs["simulate"] + 1}
    assert counted.cells == before.cells
    assert counted.networks == before.networks
    assert counted.tested_on == 2 * before.tested_on
    speeds = replace(SPEEDS, structure={"gold": 10.0, "silver": 100.0})
    assert plan.hours(both, speeds)["simulate"] * 3600 == pytest.approx(20 * 10 + 4 * 100)
    sizes = [
        plan.sizes(of, {"gold": 1e3, "silver": 1e6}, SPEEDS.weight_bytes)["waves"]
        for of in (alone, both)
    ]
    assert sizes[1] - sizes[0] == pytest.approx(4e6 + 11_000)
    assert "1 to train on, 2 to test on" in plan.summary(both)


def test_the_papers_study_leaves_fewer_than_40_000_files():
    counted = plan.counts(load(ROOT / "studies" / "paper.yaml"))
    assert counted.networks == 12_096
    assert sum(counted.files.values()) < 40_000


def test_hours_by_hand():
    hours = plan.hours(load(SMALLEST), SPEEDS)
    assert hours["simulate"] * 3600 == pytest.approx(20 * 10)
    # Four jobs of 28 images, eight networks of two epochs of 12 images and of 4 to validate.
    assert hours["train"] * 3600 == pytest.approx(4 * 28 * 0.5 + 8 * 2 * (12 * 3 + 4 * 1))
    assert hours["evaluate"] * 3600 == pytest.approx(4 * 16 * 0.5 + 8 * 16 * 1)
    assert hours["starting"] * 3600 == pytest.approx(2 * (3 * 4 + 8))


def test_hours_of_two_architectures_add_up():
    study = changed(training={"architectures": ["compact-w4-d2", "compact-w8-d2"]})
    both = replace(
        SPEEDS,
        step={"compact-w4-d2": 3.0, "compact-w8-d2": 7.0},
        predict={"compact-w4-d2": 1.0, "compact-w8-d2": 2.0},
    )
    hours = plan.hours(study, both)
    steps, predictions = 8 * 2 * 12 * (3 + 7), 8 * 2 * 4 * (1 + 2)
    assert hours["train"] * 3600 == pytest.approx(8 * 28 * 0.5 + steps + predictions)
    assert hours["evaluate"] * 3600 == pytest.approx(8 * 16 * 0.5 + 8 * 16 * (1 + 2))


def test_bytes_grow_with_what_is_stored():
    each = SPEEDS.wave_bytes, SPEEDS.weight_bytes
    of = plan.sizes(load(SMALLEST), *each)
    assert 20 * 1000 < of["waves"] < 20 * 1000 + 4 * 20_000  # with what describes four files
    more = plan.sizes(changed(study={"replicas": 4}), *each)
    assert more["networks"] == 2 * of["networks"]
    assert more["records"] == 2 * of["records"]
    assert more["waves"] == of["waves"]


class Clock:
    """A clock that calls of a function move on."""

    def __init__(self, first, each):
        self.now, self.first, self.each, self.calls = 0.0, first, each, []

    def __call__(self):
        return self.now

    def work(self, number):
        self.now += self.each * number + self.first * (not self.calls)
        self.calls.append(number)


def test_time_of_an_item_leaves_out_what_sets_up(monkeypatch):
    clock = Clock(first=50.0, each=2.0)
    monkeypatch.setattr(plan.time, "perf_counter", clock)
    assert plan.per_item(clock.work, 16, 1000, clock) == pytest.approx(2)
    assert clock.calls[0] == 2
    assert max(clock.calls) == 16


def test_few_items_stand_for_many_where_time_is_short(monkeypatch):
    clock = Clock(first=0.0, each=2.0)
    monkeypatch.setattr(plan.time, "perf_counter", clock)
    assert plan.per_item(clock.work, 1000, 10, clock) == pytest.approx(2)
    assert max(clock.calls) < 10
    assert plan.per_item(Clock(0.0, 1.0).work, 1, 10, clock) == 0


@pytest.fixture
def results(monkeypatch, tmp_path):
    """The smallest study's folder of results, where nothing is, and no calibration."""
    monkeypatch.setattr(plan, "calibrate", lambda study, seconds: SPEEDS)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "results" / "smallest"


def make(results, *names):
    for name in names:
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).touch()


def test_a_plan_says_what_is_left(results, capsys):
    study = load(SMALLEST)
    waves = [f"waves/gold/{split}/00000.zarr.zip" for split in ("train", "val", "test")]
    cell = f"gold/compact-w4-d2/{study.train_conditions[0].id}/"
    (batch,) = grid.batches(2, 2)
    make(results, *waves, f"networks/{cell}{batch}.safetensors")
    assert plan.left(study, results) == {"simulate": 1 / 4, "train": 3 / 4, "evaluate": 1}
    assert cli.main(["plan", str(SMALLEST)]) == 0
    first, second = capsys.readouterr().out.splitlines()[-2:]
    assert first == (
        "left        1 file of structures to simulate, 6 networks to train and 8 to test"
    )
    took = plan.hours(study, SPEEDS)
    hours = took["simulate"] / 4 + took["train"] * 3 / 4 + took["evaluate"]
    hours += took["starting"] * (1 + 3 + 4) / 12
    assert second.strip() == f"36 steps and {hours:.2g} core-hours"


def test_a_plan_of_a_finished_study_leaves_nothing(results, capsys):
    described = status._described(load(SMALLEST), {})
    make(results, *(output for _, _, _, output, *_ in described))
    assert cli.main(["plan", str(SMALLEST)]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "left        no structure, network or test: all are there"


def test_a_plan_says_all_that_was_asked(results, capsys):
    assert cli.main(["plan", str(SMALLEST)]) == 0
    printed = capsys.readouterr().out
    for line in (
        "networks    8 = 1 specimen × 4 conditions × 1 architecture × 2 replicas",
        "steps       48 of 4 images",
        "images      112 formed to train, if memory holds them, and 64 to test",
        "memory      2.5 GB in a train job of 2 replicas of compact-w4-d2",
    ):
        assert line in printed.splitlines()
    assert re.search(r"^files +\d+ of [\d.]+ MB$", printed, re.M)
    total = sum(plan.hours(load(SMALLEST), SPEEDS).values())
    assert re.search(rf"^time +{total:.2g} core-hours on cpu; ", printed, re.M)
    assert "left" not in printed
    assert len({line.index(line.split()[1]) for line in printed.splitlines()[:8]}) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["plan", "none.yaml"], "study file 'none.yaml': No such file"),
        (["plan", str(SMALLEST), "--seconds", "-1"], "--seconds = -1: must be between 0 and 3600"),
    ],
)
def test_a_plan_is_refused_in_one_line(arguments, says, capsys):
    assert cli.main(arguments) == 1
    err = capsys.readouterr().err
    assert err.startswith(says)
    assert err.count("\n") == 1


@pytest.mark.slow
def test_calibration_measures_every_part(monkeypatch):
    speeds = plan.calibrate(load(SMALLEST), 2)
    assert speeds.unit in ("core", "GPU")
    assert speeds.start > 0.5
    assert 1e3 < speeds.wave_bytes["gold"] < 1e5
    for value in (speeds.image, speeds.structure["gold"], speeds.step["compact-w4-d2"]):
        assert 1e-5 < value < 5
    assert 1e8 < speeds.memory["compact-w4-d2"] < 2e9
