"""The rates of machines, and the times of jobs that follow from them."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passband import PassbandError
from passband.config import Study, load
from passband.runs import rates
from passband.runs.calibration import Speeds
from passband.runs.counts import count
from passband.storage import checked_json

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
    speeds = rates.typical().speeds(Study())
    assert speeds.structure["gold"] == pytest.approx(0.148, rel=0.3)
    assert speeds.image == pytest.approx(1.62e-3, rel=0.3)
    assert speeds.step["compact-w8-d3"] == pytest.approx(9.8e-3, rel=0.3)
    assert speeds.predict["compact-w8-d3"] == pytest.approx(2.0e-3, rel=0.3)


def test_abtem_takes_longer_to_simulate_and_nothing_else_does():
    ours, theirs = (
        rates.typical().speeds(Study(microscope={"engine": e})) for e in ("passband", "abtem")
    )
    # 20 times as many pixels, of which each takes several times as long.
    assert 50 < theirs.structure["gold"] / ours.structure["gold"] < 200
    assert theirs.step == ours.step
    assert theirs.image == ours.image


@given(st.lists(st.floats(1e-9, 1e3), min_size=7, max_size=7))
def test_rates_of_a_machine_give_the_times_of_the_study_that_was_measured(times):
    structure, noise, image, step, predict, start, light = times
    speeds = Speeds(
        device="NVIDIA H100",
        unit="GPU",
        start=start,
        start_light=light,
        structure={"gold": structure},
        image=image + noise,
        noise=noise,
        step={"unet-resnet18": step},
        predict={"unet-resnet18": predict},
    )
    again = rates.Rates.of(STUDY, speeds).speeds(STUDY)
    assert (again.device, again.unit) == (speeds.device, speeds.unit)
    for name, value in rates.seconds_by_rule(STUDY, speeds).items():
        assert rates.seconds_by_rule(STUDY, again)[name] == pytest.approx(value), name


def test_rates_are_those_of_any_study():
    """A field twice as wide has four times the pixels, and half the epochs need half the time."""
    demo = Study()
    wide = Study(microscope={"field_px": 2 * demo.microscope.field_px})
    measured = rates.Rates.of(demo, rates.typical().speeds(demo))
    assert measured.speeds(wide).step["compact-w8-d3"] == pytest.approx(
        4 * rates.typical().speeds(demo).step["compact-w8-d3"]
    )
    assert measured.speeds(wide).noise == pytest.approx(4 * rates.typical().speeds(demo).noise)


def test_rates_of_a_file_are_those_that_were_written(tmp_path):
    rates.write(tmp_path / "node.json", rates.typical())
    assert rates.read(tmp_path / "node.json") == rates.typical()


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff", b'{"device": "H100"}'])
def test_a_file_without_rates_is_refused(tmp_path, content):
    file = tmp_path / "node.json"
    file.write_bytes(content)
    with pytest.raises(PassbandError, match=r"node.json: has no rates of a machine, or is damaged"):
        rates.read(file)


def test_a_changed_rate_is_found(tmp_path):
    file = tmp_path / "node.json"
    rates.write(file, rates.typical())
    file.write_text(file.read_text().replace("8.0", "9.0"))
    with pytest.raises(PassbandError, match="is damaged"):
        rates.read(file)
    checked_json.write(file, asdict(rates.typical()) | {"step_s": float("nan")})
    with pytest.raises(PassbandError, match="is damaged"):
        rates.read(file)


def test_rates_that_cannot_be_written_or_do_not_fit_are_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(PassbandError, match=r"file/node.json: cannot be written: Not a dir"):
        rates.write(tmp_path / "file" / "node.json", rates.typical())
    ours = replace(rates.typical(), slices_s={"passband": 1e-8})
    with pytest.raises(PassbandError, match=r"^microscope.engine = 'abtem': the rates of a"):
        ours.speeds(Study(microscope={"engine": "abtem"}))
