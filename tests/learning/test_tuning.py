"""Fine-tuning on labelled images."""

from dataclasses import replace

import labelled
import numpy as np
import pytest
import torch

from passband.learning import networks, tuning
from passband.learning.tuning import Example, Schedule

SHORT = Schedule(steps=5)


@pytest.fixture
def network(tmp_path):
    return labelled.network(tmp_path)


@pytest.fixture
def examples():
    return [
        Example((3.0 * labelled.mask(k) - 0.3).astype(np.float32), labelled.mask(k).astype(int))
        for k in range(3)
    ]


def bits(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def differing(a, b):
    return [name for name in a if not torch.equal(a[name], b[name])]


def test_the_same_names_give_the_same_bits(network, examples):
    before = bits(network.module)
    first, again, other = (
        bits(tuning.tuned(network, examples, SHORT, names)) for names in ((1,), (1,), (2,))
    )
    assert differing(first, again) == []
    assert differing(first, other)
    assert differing(before, bits(network.module)) == []  # the network itself stays


def test_statistics_of_batch_normalisation_stay(network, examples):
    after = bits(tuning.tuned(network, examples, SHORT, (1,)))
    changed = differing(bits(network.module), after)
    assert "head.weight" in changed
    assert [name for name in changed if "running" in name or "tracked" in name] == []


def test_the_result_is_ready_for_prediction(network, examples):
    module = tuning.tuned(network, examples, SHORT, (1,))
    assert not module.training
    assert all(tensor.is_contiguous() for tensor in module.state_dict().values())
    with torch.inference_mode():
        assert module(torch.zeros(1, 1, 16, 16)).shape == (1, 1, 16, 16)


def test_the_rate_falls_along_half_a_cosine():
    schedule = Schedule(steps=4, rate=2.0)
    assert [schedule.rate_of(k) for k in range(4)] == pytest.approx(
        [2.0, 1 + 0.5**0.5, 1.0, 1 - 0.5**0.5]
    )


def test_each_step_is_reported(network, examples):
    seen = []
    tuning.tuned(network, examples, SHORT, (1,), lambda: seen.append(1))
    assert len(seen) == SHORT.steps


def test_crops_have_the_labels_of_their_pixels_in_all_eight_turns():
    rows, columns = np.indices((40, 50))
    unique = 1000 * rows + columns + 1
    example = Example(unique.astype(np.float32), unique)
    images, labels = tuning._batch([example], 16, np.random.default_rng(0))
    assert images.shape == labels.shape == (tuning.CROPS, 1, 16, 16)
    assert torch.equal(images.long(), labels)
    steps = {
        (int(crop[0, 0, 1] - crop[0, 0, 0]), int(crop[0, 1, 0] - crop[0, 0, 0])) for crop in labels
    }
    assert len(steps) > 4
    assert steps <= {(a, b) for a in (1, -1) for b in (1000, -1000)} | {
        (b, a) for a in (1, -1) for b in (1000, -1000)
    }


def test_crops_are_no_larger_than_the_smallest_image(network, examples):
    small = Example(np.zeros((31, 90), np.float32), np.zeros((31, 90), int))
    assert tuning._side(network, [*examples, small]) == 31 // network.divisor * network.divisor
    large = Example(np.zeros((300, 300), np.float32), np.zeros((300, 300), int))
    assert tuning._side(network, [large]) == tuning.CROP_PX


def test_numbers_of_particles_begin_at_one_in_each_crop():
    labels = torch.tensor([[[[0, 900], [7, 7]]], [[[5, 5], [5, 70_000]]]])
    found = tuning._instances(labels)
    assert found.shape == (2, 2, 2, 2)
    assert found[:, 0].tolist() == [[[0, 2], [1, 1]], [[1, 1], [1, 2]]]
    assert not found[:, 1].any()


@pytest.mark.parametrize("numbered", [True, False])
def test_a_head_learns_only_from_numbered_particles(network, examples, numbered):
    """Without numbers, its outputs get no gradient of their own, and its last weights stay."""
    metadata = replace(network.metadata, architecture=f"{labelled.NAME}+votes")
    module = networks.build(metadata.architecture)
    with_head = replace(network, metadata=metadata, module=module.eval())
    own = [replace(example, is_numbered=numbered) for example in examples]
    after = bits(tuning.tuned(with_head, own, SHORT, (1,)))
    changed = differing(bits(module), after)
    assert "head.weight" in changed
    assert any(name.startswith("further") for name in changed) == numbered
