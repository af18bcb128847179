"""Times of jobs on a typical core."""

from pathlib import Path

import pytest

from passband.config import Study, load
from passband.runs import typical_times
from passband.runs.counts import count

STUDIES = Path(__file__).parents[2] / "studies"


@pytest.mark.parametrize("file", sorted(STUDIES.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_job_of_every_study_has_a_time(file):
    study = load(file)
    seconds = typical_times.seconds(study)
    assert seconds.keys() == {rule for rule, number in count(study).jobs.items() if number}
    assert min(seconds.values()) > 1


def test_a_training_takes_longer_than_a_figure_and_longer_with_more_epochs():
    demo = typical_times.seconds(Study())
    longer = typical_times.seconds(Study(training={"epochs": 10 * Study().training.epochs}))
    assert demo["train"] > demo["evaluate"]
    assert demo["train"] > demo["figure_matrix"]
    assert longer["train"] > 5 * demo["train"]
    assert longer["evaluate"] == demo["evaluate"]
    assert load(STUDIES / "paper.yaml").training.architectures == ["unet-resnet18"]
    assert (
        typical_times.seconds(load(STUDIES / "paper.yaml"))["train"] > 1000 * demo["figure_matrix"]
    )


def test_ratios_are_those_of_the_calibration_of_the_demo():
    """`passband plan config.yaml` measured these times on the machine of the constants."""
    speeds = typical_times.speeds(Study())
    assert speeds.structure["gold"] == pytest.approx(0.148, rel=0.3)
    assert speeds.image == pytest.approx(1.62e-3, rel=0.3)
    assert speeds.step["compact-w8-d3"] == pytest.approx(9.8e-3, rel=0.3)
    assert speeds.predict["compact-w8-d3"] == pytest.approx(2.0e-3, rel=0.3)
