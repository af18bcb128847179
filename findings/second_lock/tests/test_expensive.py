"""Arms, the cut and the result of expensive networks."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from findings.second_lock import draws, expensive, lens_or_image, locked, networks
from findings.second_lock.expensive import CHEAP, GROUP, WIDE, by_replica, cut, result
from findings.second_lock.networks import Arm, results_file
from passband import PassbandError
from passband.config import study_file, validate
from passband.grid import Condition
from passband.learning import schedules

LOW = Condition(10, 1.2, 10, 200)
HIGH = Condition(40, 250, 9, 800)


@pytest.fixture(autouse=True)
def _drawn(monkeypatch):
    """Draws do not follow from the protocol, so that it may be edited."""
    monkeypatch.setattr(locked, "digest", lambda: "0" * 64)
    monkeypatch.setattr("findings.second_lock.conditions.digest", lambda: "0" * 64)


def test_arms_have_drawn_conditions_of_part_1_and_the_settings_of_the_protocol():
    of = expensive.arms()
    assert [arm.name for arms in of.values() for arm in arms] == [
        "compact-w4-d2",
        "compact-w16-d4",
        "unet-resnet18-0",
        "unet-resnet18-1",
    ]
    first, second = of[GROUP]
    assert len({*first.conditions} & {*lens_or_image.training_conditions()}) == 12
    assert second.conditions == first.conditions[:8]
    assert (first.replicas, second.replicas, of[WIDE][0].replicas) == ((0,), (1,), (0, 1))
    assert len({*first.tests}) == 72
    assert first.structures == range(32, 40)
    microscope = first.study.microscope
    assert (microscope.pixel_size_A, microscope.field_px) == (0.25, 128)
    assert of[CHEAP][0].study.training.params() == {
        **lens_or_image.study().training.params(),
        "precision": "float32",
    }
    training = first.study.training
    assert (training.batch_size, training.normalisation) == (16, "minmax")
    steps = first.study.study.structures.train // training.batch_size
    assert steps * training.epochs == 192
    last, _ = schedules.rate(training, steps * training.epochs, steps)
    assert last == pytest.approx(1e-3 * 0.8**25)
    half = expensive.first_half()
    assert (len(half), half.sum()) == (12, 6)


def run_command(arguments):
    draws.run("expensive", expensive.COMMANDS, arguments)


@pytest.mark.parametrize(("seconds", "number"), [(229.0, 8), (231.0, 4)])
def test_the_second_replica_is_cut_by_the_times_of_the_first_two_networks(
    tmp_path, seconds, number
):
    group = expensive.arms()[GROUP]
    with pytest.raises(PassbandError, match=r"unet-resnet18-0/0\.npz: is missing; train the"):
        cut(group, tmp_path)
    for k, of in enumerate(([1.0, 1.0], [230.0, seconds])):
        path = results_file(group[0], tmp_path, k)
        path.parent.mkdir(exist_ok=True)
        np.savez(path, seconds=np.array(of))
    first, second = cut(group, tmp_path)
    assert first == group[0]
    assert second.conditions == group[1].conditions[:number]


def test_a_row_without_a_second_replica_has_none(tmp_path):
    content = study_file.read(Path("studies/twelve-thousand.yaml"))
    content["study"] |= {"structures": {"train": 2, "val": 2, "test": 2}}
    content["training"] |= {"epochs": 2, "batch_size": 2}
    given = Arm(
        "a",
        validate(content),
        conditions=(LOW, HIGH),
        replicas=(0,),
        tests=(HIGH, LOW),
        structures=range(32, 34),
    )
    second = replace(given, name="b", conditions=(LOW,), replicas=(1,))
    for arm in (given, second):
        networks.run(arm, tmp_path)
    found = by_replica([given, second], tmp_path)
    assert found["dice"].shape == (2, 2, 2)
    assert np.isnan(found["dice"][1, 1]).all()
    there = ~np.isnan(found["home"])
    assert there.tolist() == [[True, True], [True, False]]
    # A network's own condition is among the tests.
    np.testing.assert_array_equal(found["home"][0], found["dice"][0, :, 1])
    assert (found["seconds"] > 0).all()
    assert len(found["seconds"]) == 3


def test_the_result_follows_from_the_larger_architectures():
    rng = np.random.default_rng(0)
    doses = rng.permutation(np.geomspace(50, 1600, 12)), np.geomspace(60, 1500, 72)
    small = rng.random((12, 1, 72)) * np.linspace(0.3, 1, 12)[:, None, None]
    noise = rng.normal(scale=0.01, size=(3, 12, 2, 72))
    dice = {CHEAP: small + noise[0], WIDE: small**2 + noise[1], GROUP: small**0.5 + noise[2]}
    dice[GROUP][8:, 1] = np.nan
    first = np.arange(12) % 2 == 0
    found = result(small[:, 0], dice, doses, first)
    assert found["verdict"] == "holds"
    assert [*found["architectures"][GROUP]["lines"]] == [
        "A",
        "measured Dice of the cheap network",
        "mean of the test",
    ]
    assert "measured Dice of the cheap network" not in found["architectures"][CHEAP]["lines"]
    assert found["architectures"][GROUP]["lines"]["A"]["interaction"] > 0.9
    assert result(rng.random((12, 72)), dice, doses, first)["verdict"] == "refuted"


def test_mistakes_are_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(locked, "FOLDER", tmp_path)
    with pytest.raises(SystemExit, match=r"digests\.json: is missing; predict first"):
        run_command(["train"])
    with pytest.raises(SystemExit, match=r"--part 2: must be k/n, such as 0/2"):
        run_command(["train", "--part", "2"])
