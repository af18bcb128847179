"""The rates of machines, and the times of jobs that follow from them."""

from pathlib import Path

import pytest

from passband.config import Study, load
from passband.runs import rates
from passband.runs.counts import count

STUDIES = Path(__file__).parents[2] / "studies"
STUDY = load(STUDIES / "paper.yaml")


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
    assert demo["train"] > demo["figure"]
    assert longer["train"] > 5 * demo["train"]
    assert longer["evaluate"] == demo["evaluate"]
    assert load(STUDIES / "paper.yaml").training.architectures == ["unet-resnet18"]
    assert rates.seconds(load(STUDIES / "paper.yaml"))["train"] > 1000 * demo["figure"]


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


def test_times_on_a_typical_core_are_those_of_any_study():
    """A field twice as wide has four times the pixels."""
    demo = Study()
    wide = rates.typical(Study(microscope={"field_px": 2 * demo.microscope.field_px}))
    known = rates.typical(demo)
    assert wide.step["compact-w8-d3"] == pytest.approx(4 * known.step["compact-w8-d3"])
    assert wide.noise == pytest.approx(4 * known.noise)
