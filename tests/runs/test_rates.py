"""The rates of machines that `passband plan --device` uses."""

from pathlib import Path

import pytest

from passband import PassbandError
from passband.config import load
from passband.runs import plan, rates, typical_times

STUDY = load(Path(__file__).parents[2] / "studies" / "paper.yaml")


def test_every_rate_is_measured_or_stated_and_says_where_it_comes_from():
    table = rates.table()
    for machine in (table["core"], *table["gpus"].values()):
        assert machine["kind"] in ("measured", "stated")
        assert len(machine["source"]) > 10
    for best, worst in table["assumed"].values():
        assert best > 0
        assert worst > 0


def test_operations_of_a_network_by_hand():
    """A level below has a quarter of the pixels, and four weights for each pixel above."""
    full = 9 * (1 * 4 + 4 * 4) + 9 * 4 * 4 + 4 * 8 * 4 + 9 * 4 * 4 + 4
    below = 9 * (4 * 8 + 8 * 8) / 4
    assert rates.forward_flops("compact-w4-d1") == 2 * (full + below)


@pytest.mark.parametrize("device", sorted(rates.table()["gpus"]))
def test_a_stated_rate_gives_a_range_around_what_each_assumption_gives(device):
    found = rates.stated(STUDY, device, typical_times.speeds(STUDY))
    best, worst = plan.seconds_by_rule(STUDY, found.best), plan.seconds_by_rule(STUDY, found.worst)
    for rule in ("train", "evaluate"):
        assert 2 < worst[rule] / best[rule] < 20
    assert best["simulate"] == worst["simulate"]
    assert best["starting"] == worst["starting"]
    said = " ".join(found.assumptions)
    gpu = rates.table()["gpus"][device]
    for words in (gpu["name"], "never measured", gpu["source"], "TFLOP/s", "TB/s"):
        assert words in said


def test_a_faster_gpu_takes_less_time_and_float32_takes_more():
    cpu = typical_times.speeds(STUDY)
    name = "unet-resnet18"
    times = {d: rates.stated(STUDY, d, cpu).worst.step[name] for d in rates.table()["gpus"]}
    assert times["v100"] > times["a100"] > times["h100"] >= times["h200"]
    plain = STUDY.model_copy(
        update={"training": STUDY.training.model_copy(update={"precision": "float32"})}
    )
    assert rates.stated(plain, "h100", cpu).worst.step[name] > times["h100"]


def test_an_unknown_gpu_is_refused():
    with pytest.raises(PassbandError, match="--device = 'tpu': must be one of v100, a100, "):
        rates.check("tpu")
