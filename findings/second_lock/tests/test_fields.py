"""Fields of several particles, seen by networks of two steps."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from findings.second_lock import fields, networks
from findings.second_lock.fields import Fields, results, run, visible_diameters, whole_diameters
from findings.second_lock.networks import Arm
from findings.twelve_thousand.pieces import read
from passband import PassbandError
from passband.config import study_file, validate
from passband.grid import Condition
from passband.learning.instance_counts import Truth
from passband.micrographs.images.particles import instances
from passband.particle_scores import instance_f1

LOW = Condition(10, 1.2, 10, 200)
HIGH = Condition(40, 250, 9, 800)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A folder with exit waves and networks, which all tests share."""
    return tmp_path_factory.mktemp("second-lock")


def arm(name="plain", **changes):
    content = study_file.read(Path("studies/twelve-thousand.yaml"))
    content["study"] |= {"structures": {"train": 2, "val": 2, "test": 2}}
    content["training"] |= {"epochs": 2, "batch_size": 2}
    of = Arm(
        name,
        validate(content),
        conditions=(LOW, HIGH),
        replicas=(0, 1),
        tests=(),
        structures=range(32, 33),
    )
    return replace(of, **changes)


@pytest.fixture(scope="module")
def seen(kept):
    return Fields.of(arm().study, kept, range(32, 34), (HIGH, LOW))


def test_fields_have_several_particles_on_both_faces(seen):
    assert seen.split.masks.shape == (2, 1, 128, 128)
    number = [np.unique(each[each > 0]).size for each in seen.split.instances]
    assert all(4 <= each <= 8 for each in number)
    assert (seen.split.instances.reshape(2, 2, -1).max(-1).max(0) > 0).all()
    assert seen.split.indices.tolist() == [32, 33]


def test_networks_see_the_fields_once_and_results_know_where_they_come_from(kept, seen):
    of = arm()
    with pytest.raises(PassbandError, match=r"0\.safetensors: is missing; train the networks"):
        run(of, kept, seen, [0])
    networks.run(of, kept)
    before = len(read(kept / "costs.csv"))
    run(of, kept, seen, [0])
    with pytest.raises(PassbandError, match="has no results of 1 of 2 training conditions"):
        results(of, kept, seen, [0, 1])
    networks.weights_file(of, kept, 0).unlink()  # what is known needs no networks
    run(of, kept, seen, [0, 1])
    run(of, kept, seen, [0, 1])
    assert [row["networks"] for row in read(kept / "costs.csv")[before:]] == ["2", "2"]
    found = results(of, kept, seen, [0, 1])
    assert found.particles.shape == (2, 2, 2, 2, 2, 12)
    assert list(found.test.values) == [HIGH.id, LOW.id]
    # A network's own condition is among the tests, in the other order.
    np.testing.assert_array_equal(found.home_particles[0], found.particles[0, :, 1])
    np.testing.assert_array_equal(found.home_particles[1], found.particles[1, :, 0])
    with pytest.raises(PassbandError, match="was made of other networks or fields"):
        results(of, kept, replace(seen, tests=(LOW, HIGH)), [0])


def test_particles_and_diameters_are_those_of_the_rule(kept, seen):
    """What is computed image by image with the package's functions alone."""
    of = arm("perfect")

    class Perfect(networks.nn.Module):
        """Knows the masks of the fields in their order."""

        def forward(self, images):
            return 20 * seen.split.masks[: len(images)] - 10

    found = seen.seen_by([Perfect()], "float32", fields.by_rule)
    f1 = instance_f1(found["particles"])
    assert f1.shape == (1, 2, 2)
    np.testing.assert_array_equal(f1[:, 0], f1[:, 1])
    labels = [instances(mask[0].numpy() > 0.5, 0.05, 0.5) for mask in seen.split.masks]
    expected = np.concatenate([whole_diameters(each, 0.05) for each in labels])
    true = np.concatenate([visible_diameters(each, 0.05) for each in seen.truths])
    assert len(expected) > 0
    apart = fields.wasserstein_distance(expected, true)
    np.testing.assert_allclose(found["apart"], apart)
    assert of.name == "perfect"


def test_without_found_particles_there_is_no_distance(seen):
    class Blind(networks.nn.Module):
        def forward(self, images):
            return images * 0 - 10

    found = seen.seen_by([Blind()], "float32", fields.by_rule)
    assert np.isnan(found["apart"]).all()
    assert (instance_f1(found["particles"]) <= 1).all()


def test_diameters_are_those_of_discs_away_from_the_edge():
    labels = np.zeros((40, 40), int)
    labels[0:10, 0:10] = 1
    labels[20:30, 20:30] = 2
    np.testing.assert_allclose(whole_diameters(labels, 0.05), [2 * np.sqrt(100 / np.pi) * 0.05])
    both = np.stack([labels, np.zeros_like(labels)])
    truth = Truth.of(both, 0.05)
    np.testing.assert_allclose(visible_diameters(truth, 0.05), whole_diameters(labels, 0.05))


def test_a_head_states_whole_diameters(kept, seen):
    of = arm("votes", architecture="compact-w4-d2+votes", conditions=(LOW,), replicas=(0,))
    content = of.study.written()
    content["training"]["architectures"] = [of.architecture]
    of = replace(of, study=validate(content, "votes"))
    run(of, kept, seen, [0], trains=True)
    assert results(of, kept, seen, [0]).particles.shape == (1, 1, 2, 2, 2, 12)
    with pytest.raises(PassbandError, match="plain: compact-w4-d2 has no head"):
        fields.by_head(arm())
