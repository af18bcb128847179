"""The rates of machines, and the times of jobs that follow from them."""

from pathlib import Path

import pytest

from passband import PassbandError
from passband.config import Study, load
from passband.runs import rates
from passband.runs.counts import count

STUDIES = Path(__file__).parents[2] / "studies"
STUDY = load(STUDIES / "paper.yaml")


def test_every_rate_is_measured_or_stated_and_says_where_it_comes_from():
    table = rates.table()
    for machine in (table["core"], *table["gpus"].values()):
        assert machine["kind"] in ("measured", "stated")
        assert len(machine["source"]) > 10
    for best, worst in table["assumed"].values():
        assert best > 0
        assert worst > 0


@pytest.mark.parametrize("file", sorted(STUDIES.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_job_of_every_study_has_a_time(file):
    study = load(file)
    seconds = rates.seconds(study)
    assert seconds.keys() == {rule for rule, number in count(study).jobs.items() if number}
    assert min(seconds.values()) > 1


def test_a_training_takes_longer_than_a_figure_and_longer_with_more_epochs():
    demo = rates.seconds(Study())
    longer = rates.seconds(Study(training={"epochs": 10 * Study().training.epochs}))
    assert demo["train"] > demo["evaluate"]
    assert demo["train"] > demo["figure_matrix"]
    assert longer["train"] > 5 * demo["train"]
    assert longer["evaluate"] == demo["evaluate"]
    assert load(STUDIES / "paper.yaml").training.architectures == ["unet-resnet18"]
    assert rates.seconds(load(STUDIES / "paper.yaml"))["train"] > 1000 * demo["figure_matrix"]


def test_ratios_are_those_of_the_calibration_of_the_demo():
    """`passband plan config.yaml` measured these times on the machine of the constants."""
    speeds = rates.typical(Study())
    assert speeds.structure["gold"] == pytest.approx(0.148, rel=0.3)
    assert speeds.image == pytest.approx(1.62e-3, rel=0.3)
    assert speeds.step["compact-w8-d3"] == pytest.approx(9.8e-3, rel=0.3)
    assert speeds.predict["compact-w8-d3"] == pytest.approx(2.0e-3, rel=0.3)


def test_abtem_takes_longer_to_simulate_and_nothing_else_does():
    ours, theirs = (rates.typical(Study(microscope={"engine": e})) for e in ("passband", "abtem"))
    # 20 times as many pixels, of which each takes several times as long.
    assert 50 < theirs.structure["gold"] / ours.structure["gold"] < 200
    assert theirs.step == ours.step
    assert theirs.image == ours.image


def test_operations_of_a_network_by_hand():
    """A level below has a quarter of the pixels, and four weights for each pixel above."""
    full = 9 * (1 * 4 + 4 * 4) + 9 * 4 * 4 + 4 * 8 * 4 + 9 * 4 * 4 + 4
    below = 9 * (4 * 8 + 8 * 8) / 4
    assert rates.forward_flops("compact-w4-d1") == 2 * (full + below)


@pytest.mark.parametrize("device", sorted(rates.table()["gpus"]))
def test_a_stated_rate_gives_a_range_around_what_each_assumption_gives(device):
    *cases, assumptions = rates.stated(STUDY, device, rates.typical(STUDY))
    best, worst = (rates.seconds_by_rule(STUDY, case) for case in cases)
    for rule in ("train", "evaluate"):
        assert 2 < worst[rule] / best[rule] < 20
    assert best["simulate"] == worst["simulate"]
    assert best["starting"] == worst["starting"]
    said = " ".join(assumptions)
    gpu = rates.table()["gpus"][device]
    for words in (gpu["name"], "never measured", gpu["source"], "TFLOP/s", "TB/s"):
        assert words in said


def test_a_faster_gpu_takes_less_time_and_float32_takes_more():
    cpu = rates.typical(STUDY)
    name = "unet-resnet18"
    times = {d: rates.stated(STUDY, d, cpu)[1].step[name] for d in rates.table()["gpus"]}
    assert times["v100"] > times["a100"] > times["h100"] >= times["h200"]
    plain = STUDY.model_copy(
        update={"training": STUDY.training.model_copy(update={"precision": "float32"})}
    )
    assert rates.stated(plain, "h100", cpu)[1].step[name] > times["h100"]


def test_an_unknown_gpu_is_refused():
    with pytest.raises(PassbandError, match="--device = 'tpu': must be one of v100, a100, "):
        rates.check("tpu")
