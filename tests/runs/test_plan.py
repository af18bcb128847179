"""The numbers and estimates of `passband plan`. tests/workflow compares them with a real run."""

import re
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from passband import cli, grid
from passband.config import Study, Training, load, validate
from passband.learning import memory
from passband.learning.batches import Batches
from passband.results import Results
from passband.runs import calibration, counts, plan, rates, study_jobs
from passband.runs.calibration import Calibration
from passband.runs.file_sizes import FileSizes
from passband.runs.job_states import Run
from passband.words import work

ROOT = Path(__file__).parents[2]
SMALLEST = ROOT / "tests" / "data" / "smallest.yaml"
SPEEDS = rates.Speeds(
    device="cpu",
    unit="core",
    start=2.0,
    start_light=1.0,
    structure={"gold": 10.0},
    image=0.5,
    noise=0.2,
    step={"compact-w4-d2": 3.0},
    predict={"compact-w4-d2": 1.0},
)
SIZES = FileSizes(
    structure={"gold": 1000.0},
    shard=300.0,
    weights={"compact-w4-d2": 100.0},
    image=6.0,
    record=2000.0,
)
MEASURED = Calibration(SPEEDS, SIZES)


def changed(**blocks) -> Study:
    """Return the smallest study with changed keys."""
    given = load(SMALLEST).model_dump()
    for block, keys in blocks.items():
        given[block] |= keys
    return validate(given)


@pytest.mark.slow
@given(structures=st.integers(2, 70), batch=st.integers(2, 40), epochs=st.integers(1, 5))
def test_steps_are_those_of_the_batches(structures, batch, epochs):
    study = changed(
        study={"structures": {"train": structures, "val": 4, "test": 4}},
        training={"batch_size": batch, "epochs": epochs},
    )
    batches = Batches(range(structures), Training(batch_size=batch))
    assert counts.count(study).steps_per_network == epochs * len(batches)


def test_counts_of_the_smallest_study_by_hand():
    counted = counts.count(load(SMALLEST))
    assert counted.networks == 8
    assert counted.cells == 4
    assert counted.jobs["simulate"] == 2 + 1 + 1
    assert counted.jobs["train"] == counted.jobs["evaluate"] == 4  # two replicas in each
    assert counted.steps_per_network == 2 * 3
    assert counted.trained_on == 12 + 4
    assert counted.drawn == 8 * 2 * 12 + 4 * 2 * 4  # per network; validation per job
    assert counted.tested_on == 4 * 4


@pytest.mark.parametrize(("noise", "draws"), [("fresh", 2), ("fixed", 1)])
def test_jitter_makes_new_intensities_for_every_draw(noise, draws):
    given = {"training": {"noise": noise}, "microscope": {"spread": {"focus_nm": 1.0}}}
    assert counts.count(changed(**given)).trained_on == draws * 12 + 4
    assert counts.count(changed(training={"noise": noise})).trained_on == 12 + 4


def test_every_replica_draws_its_own_noise():
    counted = counts.count(changed(study={"replicas": 6, "replicas_per_job": 3}))
    assert counted.trained_on == 12 + 4
    assert counted.drawn == 4 * 2 * (6 * 12 + 2 * 4)


def test_jobs_of_an_odd_number_of_replicas():
    counted = counts.count(changed(study={"replicas": 5, "replicas_per_job": 2}))
    assert counted.jobs["train"] == 4 * 3
    assert counted.networks == 4 * 5


def test_every_network_is_tested_on_every_specimen_and_condition():
    study = load(SMALLEST).model_dump()
    study["specimens"]["silver"] = study["specimens"]["gold"] | {"material": "Ag"}
    study["test_grid"]["defocus_nm"] = [5.0, 10.0, 20.0]
    counted = counts.count(validate(study))
    assert counted.networks == 16
    assert counted.tested_on == 2 * 4 * 6
    assert counted.jobs["simulate"] == 8


def test_the_conditions_of_a_job_share_their_test_images(monkeypatch):
    """Each of four conditions is tested on 4 images under each of 4 conditions, by two jobs."""
    three = {"conditions_per_job": 3, "replicas_per_job": 1}
    assert counts.count(load(SMALLEST)).formed == 4 * 16
    assert counts.count(changed(study=three)).formed == 2 * 2 * 16
    px = load(SMALLEST).microscope.field_px
    monkeypatch.setattr(counts, "SHARED_BYTES", 10 * 4 * px**2)
    assert counts.count(changed(study=three)).formed == 2 * (2 * 10 + 4 * 6)


def test_a_specimen_that_is_only_tested_on_costs_its_test_structures():
    study = load(SMALLEST).model_dump()
    alone = validate(study)
    study["specimens"]["silver"] = study["specimens"]["gold"] | {"material": "Ag", "trained": False}
    both = validate(study)
    counted, before = counts.count(both), counts.count(alone)
    assert counted.jobs == before.jobs | {"simulate": before.jobs["simulate"] + 1}
    assert counted.cells == before.cells
    assert counted.networks == before.networks
    assert counted.tested_on == 2 * before.tested_on
    speeds = replace(SPEEDS, structure={"gold": 10.0, "silver": 100.0})
    assert rates.seconds_by_rule(both, speeds)["simulate"] == pytest.approx(20 * 10 + 4 * 100)
    sizes = replace(SIZES, structure={"gold": 1e3, "silver": 1e6})
    alone_sizes = replace(SIZES, structure={"gold": 1e3})
    # A shard of four structures, and its images under four conditions, by eight networks.
    images = 4 * 4 * 8 * 6 * 2
    added = sizes.total(both) - alone_sizes.total(alone)
    assert added == pytest.approx(4e6 + 300 + images + 500 + 500 * 16)
    assert "1 to train on, 2 to test on" in plan.summary(both)


def test_the_papers_study_leaves_fewer_than_40_000_files():
    counted = counts.count(load(ROOT / "studies" / "paper.yaml"))
    assert counted.networks == 12_096
    assert counted.files < 40_000


def test_twelve_thousand_networks_leave_few_files():
    """12 × 4 × 6 × 6 conditions, 7 replicas each; the second names of files are counted too."""
    grid = {
        "defocus_nm": {"start": 0, "stop": 55, "num": 12},
        "cs_um": [1.2, 20, 40, 60],
        "aperture_mrad": [7, 8, 9, 10, 11.5, 13],
        "dose_e_per_A2": [50, 100, 200, 400, 800, 1600],
    }
    few = {"defocus_nm": [0, 15, 30, 45], "cs_um": [1.2, 20, 60], "aperture_mrad": [7, 9, 11.5, 13]}
    test_grid = few | {"dose_e_per_A2": [50, 200, 800]}
    block = {"replicas": 7, "replicas_per_job": 7, "conditions_per_job": 6}
    counted = counts.count(changed(study=block, grid=grid, test_grid=test_grid))
    assert (counted.networks, counted.trainings) == (12_096, 1728)
    assert counted.jobs["train"] == counted.jobs["evaluate"] == 288
    assert counted.files < 6000


def test_own_cells_are_counted():
    """Two of four training conditions are no test conditions; their networks have one more test."""
    study = load(SMALLEST).model_dump()
    study["test_grid"]["defocus_nm"] = [5.0]
    plain = validate(study)
    study["evaluation"]["test_own"] = True
    own = validate(study)
    assert (plain.own_number, own.own_number) == (0, 2)
    before, after = counts.count(plain), counts.count(own)
    assert before.tested_on == 4 * 2
    assert after.trainings * after.tested_on == 4 * (4 * 2 + 2)  # 2 of 4 jobs form 4 images more
    # Two conditions of two networks each, with four images, in a record and in the table.
    assert SIZES.total(own) - SIZES.total(plain) == pytest.approx(2 * 2 * 4 * 6 * 2)
    seconds = [rates.seconds_by_rule(each, SPEEDS)["evaluate"] for each in (plain, own)]
    assert seconds[1] - seconds[0] == pytest.approx(2 * 4 * 0.5 + 2 * 2 * 4 * 1)
    assert "2 to test under, 2 for the own networks only" in plan.summary(own)
    assert "own networks" not in plan.summary(plain)
    # Points and several blocks have the same number as products.
    study["grid"] = [study["grid"]]
    point = {"defocus_nm": 9, "cs_um": 1.2, "aperture_mrad": 16, "dose_e_per_A2": 200}
    study["test_grid"] = [{"defocus_nm": [5.0]}, {"points": [point]}]
    assert validate(study).own_number == 2


def test_seconds_by_hand():
    seconds = rates.seconds_by_rule(load(SMALLEST), SPEEDS)
    assert seconds["simulate"] == pytest.approx(20 * 10)
    # Four jobs form 16 images each, and draw noise for 2 × 4 validation images. Eight networks have
    # two epochs of 12 training images with new noise, and of 4 validation images.
    drawn = 8 * 2 * 12 + 4 * 2 * 4
    images = 4 * 16 * 0.3 + drawn * 0.2
    assert seconds["train"] == pytest.approx(images + 8 * 2 * (12 * 3 + 4 * 1))
    assert seconds["evaluate"] == pytest.approx(4 * 16 * 0.5 + 8 * 16 * 1)
    assert seconds["starting"] == pytest.approx(2 * 8 + 1 * (4 + 10))
    # Ten other jobs, on a machine that starts jobs faster than a typical core.
    others = [rates.others_s(rule) for rule in ("information", "explorer", *5 * ["figure"])]
    others += 3 * [rates.others_s("ood")]
    assert seconds[rates.OTHERS] == pytest.approx(sum(others) * 2 / rates.START_S)


def test_each_replica_of_a_mixture_forms_its_own_images():
    given = load(SMALLEST).model_dump()
    mixture = {"name": "all", "over": "grid"}
    study = validate(given | {"grid": [given["grid"], {"mixture": mixture}]})
    seconds = [rates.seconds_by_rule(each, SPEEDS)["train"] for each in (load(SMALLEST), study)]
    # Two networks: two epochs of 12 images, formed with new noise, steps and validation images.
    expected = 2 * 2 * (12 * (0.3 + 0.2 + 3) + 4 * 1)
    # Their job forms the images of the split and draws noise for validation, as all jobs do.
    assert seconds[1] - seconds[0] == pytest.approx(expected + 16 * 0.3 + 2 * 4 * 0.2)


def test_the_last_jobs_of_a_study_run_alone():
    study = load(SMALLEST)
    took = rates.seconds_by_rule(study, SPEEDS)
    one, two = (plan.elapsed(study, took, SPEEDS, cores) for cores in (1, 2))
    assert one == pytest.approx(sum(took.values()) + SPEEDS.start_light / 2)
    work = sum(map(rates.others_s, ("aggregate", "ood", "report", "explorer")))
    last = 4 * SPEEDS.start_light + work * SPEEDS.start / rates.START_S
    assert two == pytest.approx(
        (one - last - SPEEDS.start_light / 2) / 2 + last + SPEEDS.start_light / 2
    )


def test_a_network_alone_is_trained_on_one_core():
    one = {"defocus_nm": [5.0], "cs_um": [1.2], "aperture_mrad": [16.0], "dose_e_per_A2": [200.0]}
    study = changed(study={"replicas": 1, "replicas_per_job": 1}, grid=one)
    took = rates.seconds_by_rule(study, SPEEDS)
    cores = [plan.elapsed(study, took, SPEEDS, number) for number in (1, 2)]
    work = took["train"] + took["evaluate"]
    assert cores[1] > work
    assert cores[0] - cores[1] < (sum(took.values()) - work) / 2


def test_seconds_of_two_architectures_add_up():
    study = changed(training={"architectures": ["compact-w4-d2", "compact-w8-d2"]})
    both = replace(
        SPEEDS,
        step={"compact-w4-d2": 3.0, "compact-w8-d2": 7.0},
        predict={"compact-w4-d2": 1.0, "compact-w8-d2": 2.0},
    )
    seconds = rates.seconds_by_rule(study, both)
    steps, predictions = 8 * 2 * 12 * (3 + 7), 8 * 2 * 4 * (1 + 2)
    images = 8 * 16 * 0.3 + (16 * 2 * 12 + 8 * 2 * 4) * 0.2
    assert seconds["train"] == pytest.approx(images + steps + predictions)
    assert seconds["evaluate"] == pytest.approx(8 * 16 * 0.5 + 8 * 16 * (1 + 2))


class Clock:
    """A clock that advances with each call of a function."""

    def __init__(self, first, each):
        self.now, self.first, self.each, self.calls = 0.0, first, each, []

    def __call__(self):
        return self.now

    def work(self, number):
        self.now += self.each * number + self.first * (not self.calls)
        self.calls.append(number)


def test_time_of_an_item_does_not_include_the_set_up(monkeypatch):
    clock = Clock(first=50.0, each=2.0)
    monkeypatch.setattr(calibration.time, "perf_counter", clock)
    assert calibration.per_item(clock.work, 16, 1000, clock) == pytest.approx(2)
    assert clock.calls[:2] == [1, 2]
    assert max(clock.calls) == 16


def test_one_item_is_measured_if_the_first_call_took_all_the_time(monkeypatch):
    clock = Clock(first=50.0, each=2.0)
    monkeypatch.setattr(calibration.time, "perf_counter", clock)
    assert calibration.per_item(clock.work, 16, 10, clock) == pytest.approx(2)
    assert clock.calls == [1, 1]


def test_few_items_are_measured_if_time_is_short(monkeypatch):
    clock = Clock(first=0.0, each=2.0)
    monkeypatch.setattr(calibration.time, "perf_counter", clock)
    assert calibration.per_item(clock.work, 1000, 10, clock) == pytest.approx(2)
    assert max(clock.calls) < 10
    assert calibration.per_item(Clock(0.0, 1.0).work, 1, 10, clock) == 0


@pytest.fixture
def results(monkeypatch, tmp_path):
    """The empty folder of results of the smallest study. The calibration is replaced."""
    monkeypatch.setattr("passband.runs.calibration.calibrate", lambda study, seconds, say: MEASURED)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "results" / "smallest"


def make(results, *names):
    for name in names:
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).touch()


def test_a_plan_lists_the_work_that_is_left(results, capsys):
    study = load(SMALLEST)
    waves = [f"waves/gold/{split}/00000.zarr.zip" for split in ("train", "val", "test")]
    cell = f"gold/compact-w4-d2/{study.train_conditions[0].id}/"
    (batch,) = grid.batches(2, 2)
    make(results, *waves, f"networks/{cell}{batch}.safetensors")
    run = Run(Results(study, results)).read()
    numbers = [run.networks(stage) for stage in ("simulate", "train", "evaluate")]
    assert numbers == [(3, 4), (2, 8), (0, 8)]
    assert cli.main(["plan", str(SMALLEST)]) == 0
    first, second = capsys.readouterr().out.splitlines()[-2:]
    assert first == (
        "left        1 file of structures to simulate, 6 networks to train and 8 to test"
    )
    took = rates.seconds_by_rule(study, SPEEDS)
    seconds = took["simulate"] / 4 + took["train"] * 3 / 4 + took["evaluate"]
    seconds += took["starting"] * (1 + 3 + 4 + 9) / (12 + 9) + took[rates.OTHERS]
    assert second.strip() == f"36 steps and {work(seconds, 'core')}"


def test_a_plan_of_a_finished_study_leaves_nothing(results, capsys):
    needed = [job for job in study_jobs.jobs(load(SMALLEST), {}) if job.needed]
    make(results, *(output for job in needed for output in job.outputs))
    assert cli.main(["plan", str(SMALLEST)]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "left        nothing: all structures, networks and tests are done"


def test_a_plan_has_all_its_lines(results, capsys):
    assert cli.main(["plan", str(SMALLEST)]) == 0
    printed = capsys.readouterr().out
    for line in (
        "networks    8 = 1 specimen × 4 conditions × 1 architecture × 2 replicas",
        "steps       48 of 4 images",
        "memory      3.0 GB for a job of simulate",
        "            3.0 GB for a job of train compact-w4-d2",
        "            3.0 GB for a job of evaluate compact-w4-d2",
    ):
        assert line in printed.splitlines()
    assert re.search(r"^files +about \d+, together [\d.]+ MB$", printed, re.M)
    total = sum(rates.seconds_by_rule(load(SMALLEST), SPEEDS).values())
    assert re.search(rf"^time +{total / 60:.0f} core-minutes on cpu, measured; ", printed, re.M)
    assert "left" not in printed
    assert len({line.index(line.split()[1]) for line in printed.splitlines()[:8]}) == 1


@pytest.mark.parametrize("terminal", [True, False])
def test_a_plan_says_in_a_terminal_what_it_measures(results, monkeypatch, capsys, terminal):
    def measure(study, seconds, say):
        say("structures of gold")
        say("tests with compact-w4-d2")
        return MEASURED

    monkeypatch.setattr("passband.runs.calibration.calibrate", measure)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    assert cli.main(["plan", str(SMALLEST)]) == 0
    out, err = capsys.readouterr()
    assert "measuring" not in out
    assert "\x1b" not in out
    assert err.count("measuring ") == (2 if terminal else 0)
    assert err.endswith("\x1b[K" if terminal else "")  # the line is cleared in the end


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


def test_a_plan_says_why_torch_trains_networks_that_compiled_functions_could_train(results):
    known = load(SMALLEST)
    training = known.training.model_copy(update={"schedule": "later"})
    cpu = torch.device("cpu")
    line = (
        "training    compact-w4-d2 by torch, since compiled functions do not know "
        "training.schedule = 'later'"
    )
    printed = [
        plan.plan(
            Results(study, results), replace(MEASURED, by_torch=calibration.by_torch(study, cpu))
        ).text
        for study in (known, known.model_copy(update={"training": training}))
    ]
    assert "by torch" not in printed[0]
    assert line in printed[1].splitlines()


def test_the_memory_is_what_the_jobs_request():
    study = changed(
        microscope={"field_px": 256}, training={"architectures": ["compact-w4-d2", "unet-resnet18"]}
    )
    assert plan.requested(study) == {
        "simulate": memory.simulate_mb(study),
        "train compact-w4-d2": memory.train_mb(study, "compact-w4-d2"),
        "evaluate compact-w4-d2": memory.evaluate_mb(study, "compact-w4-d2"),
        "train unet-resnet18": memory.train_mb(study, "unet-resnet18"),
        "evaluate unet-resnet18": memory.evaluate_mb(study, "unet-resnet18"),
    }


@pytest.mark.slow
def test_calibration_measures_every_part(monkeypatch):
    found = calibration.calibrate(load(SMALLEST), 2)
    speeds = found.speeds
    assert speeds.unit in ("core", "GPU")
    assert 0.1 < speeds.start_light < 50
    assert 0.5 < speeds.start < 50
    assert 1e3 < found.sizes.structure["gold"] < 1e5
    assert 0 < speeds.noise < speeds.image
    for value in (speeds.image, speeds.structure["gold"], speeds.step["compact-w4-d2"]):
        assert 1e-5 < value < 5


@pytest.mark.parametrize(
    "file", [ROOT / "config.yaml", *sorted((ROOT / "studies").glob("*.yaml"))], ids=lambda f: f.stem
)
def test_numbers_of_jobs_are_those_of_the_list_of_jobs(file):
    study = load(file)
    listed = Counter(job.rule for job in study_jobs.jobs(study) if not job.on_request)
    assert counts.count(study).jobs == dict(listed)


def test_jobs_are_counted_without_a_list_of_them(monkeypatch):
    """`passband check` answers within seconds for a study of a million jobs."""

    def fail(*arguments):
        pytest.fail("the jobs were listed")

    for name in (
        "network_batches.combinations",
        "network_batches.batches_of",
        "wave_layout.shards",
    ):
        monkeypatch.setattr(f"passband.results.{name}", fail)
    monkeypatch.setattr("passband.runs.study_jobs.jobs", fail)
    axes = {"defocus_nm": {"start": 1, "stop": 40, "num": 1000}}
    axes["dose_e_per_A2"] = {"start": 100, "stop": 1000, "num": 200}
    given = load(SMALLEST).model_dump()
    given["grid"] |= axes
    study = validate(given)
    assert counts.count(study).jobs["train"] == 200_000
    assert "200,000 train" in plan.summary(study)
