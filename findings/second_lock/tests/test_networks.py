"""The harness, with networks of two steps."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from findings.second_lock import networks
from findings.second_lock.networks import Arm, results, run
from findings.train_this.methods import Flipped
from findings.twelve_thousand.pieces import read
from passband import PassbandError
from passband.config import load, study_file, validate
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.mixtures import Mixture
from passband.results import Results
from passband.results.network_batches import NetworkBatch
from passband.store.networks import StoredNetworks

LOW = Condition(10, 1.2, 10, 200)
HIGH = Condition(40, 250, 9, 800)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A folder whose exit waves all tests share."""
    return tmp_path_factory.mktemp("second-lock")


def arm(name, **changes):
    content = study_file.read(Path("studies/twelve-thousand.yaml"))
    content["study"] |= {"structures": {"train": 2, "val": 2, "test": 2}}
    content["training"] |= {"epochs": 2, "batch_size": 2}
    given = Arm(
        name,
        validate(content),
        conditions=(LOW, HIGH),
        replicas=(0, 3),
        tests=(HIGH, LOW),
        structures=range(32, 34),
    )
    return replace(given, **changes)


def test_two_parts_make_the_networks_of_the_whole_and_nothing_is_made_twice(kept, monkeypatch):
    of = arm("plain")
    for k in range(2):
        run(of, kept, (k, 2))
    found = results(of, kept)
    assert found.dice.shape == (2, 2, 2, 2)
    assert list(found.structure.values) == [32, 33]
    # A network's own condition is among the tests, in the other order.
    np.testing.assert_array_equal(found.home[0], found.counts[0, :, 1])
    np.testing.assert_array_equal(found.home_dice[1], found.dice[1, :, 0])
    assert found.counts.values.sum() > 0
    assert (found.seconds > 0).all()
    assert [row["networks"] for row in read(kept / "costs.csv")] == ["2", "2"]

    monkeypatch.setattr(networks.training, "train", None)
    networks.results_file(of, kept, 1).unlink()
    run(of, kept)  # tests again without training
    assert results(of, kept).counts.equals(found.counts)


def test_the_seeds_are_those_of_the_workflow(tmp_path):
    study = load(Path("studies/twelve-thousand.yaml"))
    condition = study.train_conditions[5]
    of = Arm("plain", study, conditions=(condition,), replicas=(0, 6), tests=())
    batch = NetworkBatch("gold", of.architecture, condition.id, "r000-006", (0, 6), (condition.id,))
    stored = StoredNetworks(Results(study, tmp_path), batch)
    assert of.seeds(0) == stored.seeds(condition.id, (0, 6))


def test_images_are_formed_as_the_arm_says_and_mixtures_are_trained(kept):
    mixed = Mixture("doses", ranges=tuple((n, x, x) for n, x in LOW.values().items()))
    run(arm("mixed", conditions=(mixed,)), kept)
    called = []

    def flipped(*given):
        called.append("train")
        return Flipped.from_microscope(*given)

    def seen(*given):
        called.append("test")
        return Acquisition.from_microscope(*given)

    of = arm("flipped", conditions=(mixed,), trains=flipped, tests_by=seen)
    run(of, kept)
    assert called == ["train", "test"]
    plain, other = (results(each, kept) for each in (arm("mixed", conditions=(mixed,)), of))
    assert not np.allclose(plain.val_loss, other.val_loss)


def test_the_networks_of_an_arm_are_tested_once_more_without_training(kept, monkeypatch):
    of = arm("first", conditions=(LOW,))
    run(of, kept)
    again = replace(of, name="again", networks_of="first")
    other = replace(again, name="other tests", tests=(LOW,), tests_by=Flipped.from_microscope)
    monkeypatch.setattr(networks.training, "train", None)
    for each in (again, other):
        run(each, kept)
    first, same, flipped = (results(each, kept) for each in (of, again, other))
    np.testing.assert_array_equal(same.counts, first.counts)
    assert not np.array_equal(flipped.home, first.home)
    with pytest.raises(PassbandError, match="was made of another arm"):
        run(replace(again, replicas=(1,)), kept)


def test_what_is_missing_or_of_another_arm_or_processor_is_one_line(kept, monkeypatch):
    of = arm("bad", conditions=(LOW, HIGH), replicas=(0,))
    with pytest.raises(PassbandError, match=r"--part 2/2: k of k/n must be from 0 to n − 1"):
        run(of, kept, (2, 2))
    run(of, kept, (0, 2))
    with pytest.raises(PassbandError, match="has no networks of 1 of 2 training conditions"):
        results(of, kept)
    with pytest.raises(PassbandError, match="was made of another arm with this name"):
        run(replace(of, replicas=(1,)), kept)
    monkeypatch.setattr(networks, "processor", lambda: "another")
    run(of, kept)
    with pytest.raises(PassbandError, match="networks of several processors, another and cpu"):
        results(of, kept)
    networks.results_file(of, kept, 1).write_bytes(b"no file")
    with pytest.raises(PassbandError, match=r"1\.npz: cannot be read"):
        results(of, kept)
