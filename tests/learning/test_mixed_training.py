"""Training under a mixture of conditions: its images, and networks that can be made again."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from synthetic import CPU, loaded

from passband.config import Spread, Training
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.learning import evaluation, networks, training
from passband.learning.batches import Batches, Images, MixedImages, images_under
from passband.learning.deadline import StopCondition, StoppedError
from passband.mixtures import Mixture

NAME = "compact-w4-d2"
A, B = Condition(15, 1.2, 15, 1000), Condition(-10, 30, 11, 300)
MIXTURE = Mixture("two", ((A, 0.6), (B, 0.4)))
ONE = Mixture("one", ((A, 1.0),))


@pytest.fixture(scope="module")
def splits(make_split):
    return make_split(10, "train"), make_split(6, "val")


def settings(**changes):
    return Training(**({"precision": "float32", "batch_size": 4, "epochs": 2} | changes))


def epoch(images, number, replicas=(0,), **changes):
    made = Batches(images, settings(**changes)).epoch(list(replicas), number)
    return [torch.cat(parts, 1) for parts in zip(*made, strict=True)]


# Images


def test_the_kind_of_images_follows_what_they_are_seen_under(camera, splits):
    assert type(images_under(camera, splits[0], A)) is Images
    assert type(images_under(camera, splits[0], MIXTURE)) is MixedImages


def test_conditions_are_drawn_anew_in_every_epoch(camera, splits):
    images = MixedImages(camera, splits[0], MIXTURE)
    first, again, second = (epoch(images, number, augment=False) for number in (0, 0, 1))
    assert torch.equal(first[0], again[0])
    assert not torch.equal(first[0], second[0])

    def of_structures(draw):
        return images.take(np.arange(10)[None], draw, [0])[0]

    def under(draw):
        """Return for each structure whether its image is the one under the first condition."""
        formed = of_structures(draw)[:, 0]
        alone = camera.images(splits[0], A, draw, 0)[:, 0]
        return (((formed - alone).abs() < 1e-4).float().mean((-2, -1)) > 0.9).tolist()

    found = [under(draw) for draw in range(3)]
    assert all(0 < sum(each) < 10 for each in found)
    assert found[0] != found[1]


def test_with_fixed_noise_an_epoch_has_the_images_of_the_first(camera, splits):
    images = MixedImages(camera, splits[0], MIXTURE)
    one, other = (epoch(images, k, noise="fixed", augment=False)[0] for k in (0, 1))
    # Only the order of the images differs.
    assert sorted(one.amax((-2, -1)).ravel()) == sorted(other.amax((-2, -1)).ravel())


def test_a_replica_has_its_own_conditions_in_a_job_of_several_as_alone(camera, splits):
    images = MixedImages(camera, splits[0], MIXTURE)
    both = epoch(images, 1, (0, 1))
    for place, replica in enumerate((0, 1)):
        alone = epoch(images, 1, (replica,))
        assert torch.equal(both[0][place], alone[0][0])
        assert torch.equal(both[1][place], alone[1][0])


@pytest.mark.parametrize("changes", [{}, {"spread": Spread(focus_nm=2, dose=0.2)}])
def test_validation_images_are_drawn_once_and_do_not_depend_on_memory(camera, splits, changes):
    given = camera.microscope.model_copy(update=changes)
    camera = Acquisition.from_microscope(given, camera.normalisation, CPU)
    kept, formed = (MixedImages(camera, splits[1], MIXTURE, hold) for hold in (True, False))
    places = np.array([4, 0, 5])
    for _ in range(2):
        one, other = kept.take(places), formed.take(places)
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])


def test_structures_are_turned_if_a_lens_is_not_round(camera, splits):
    lens = replace(B, further={"astigmatism_nm": 12})
    other = Mixture("a", ((A, 0.5), (lens, 0.5)))
    assert MixedImages(camera, splits[0], MIXTURE).is_round
    images = MixedImages(camera, splits[0], other)
    assert not images.is_round
    places, turns = np.zeros((1, 8), int), np.arange(8)[None]
    turned = images.take(places, 0, [0], turns)
    assert torch.equal(turned[1][0], splits[0].masks[0])
    assert len({tuple(mask.ravel().tolist()) for mask in turned[1]}) == 8


# Networks


def train(camera, splits, mixture, seeds, **options):
    changes = options.pop("settings", {})
    return training.train(NAME, camera, splits, mixture, settings(**changes), seeds, **options)


def weights(trained):
    return {r: {k: v.numpy() for k, v in t.weights.items()} for r, t in trained.items()}


def assert_same(one, other):
    one, other = weights(one), weights(other)
    assert one.keys() == other.keys()
    for replica, state in one.items():
        for name, values in state.items():
            np.testing.assert_array_equal(values, other[replica][name])


def test_replicas_together_equal_replicas_alone(camera, splits):
    together = train(camera, splits, MIXTURE, {0: 1, 1: 2})
    alone = train(camera, splits, MIXTURE, {0: 1}) | train(camera, splits, MIXTURE, {1: 2})
    assert_same(together, alone)


class _After(StopCondition):
    """Stops training after a number of steps."""

    def __init__(self, ticks):
        super().__init__(1e9)
        self.ticks = ticks

    @property
    def reason_to_stop(self):
        self.ticks -= 1
        return "the test" if self.ticks <= 0 else ""


def test_training_that_is_stopped_at_every_step_ends_with_the_same_bits(camera, splits, tmp_path):
    through = train(camera, splits, MIXTURE, {0: 1, 1: 2})
    attempts = 1
    while True:
        try:
            options = {"folder": tmp_path, "digest": "x", "stop": _After(1)}
            done = train(camera, splits, MIXTURE, {0: 1, 1: 2}, **options)
            break
        except StoppedError:
            attempts += 1
    assert attempts > 5
    assert_same(done, through)


def test_networks_of_other_mixtures_differ(camera, splits):
    one, other = (train(camera, splits, mixture, {0: 1}) for mixture in (ONE, MIXTURE))
    assert any(not np.array_equal(one[0].weights[k], other[0].weights[k]) for k in one[0].weights)


# Evaluation


def test_a_network_can_be_tested_under_its_mixture(camera, make_split):
    """Each image has its own condition, and its counts are those under this condition."""
    from passband.imaging import mixture_images

    torch.manual_seed(0)
    network = networks.build(NAME)
    split = make_split(9, "test")
    record = evaluation.evaluate(
        {0: network}, camera, loaded({"gold": split}), [A, MIXTURE, B], 4, "float32"
    )
    assert record.test.values.tolist() == [A.id, MIXTURE.id, B.id]
    counts = {id: record.counts.sel(test=id).values[0, 0] for id in record.test.values}
    drawn = [mixture_images.drawn(MIXTURE, split.structures, int(k)) for k in split.indices]
    assert {*drawn} == {A, B}
    for place, condition in enumerate(drawn):
        difference = np.abs(counts[MIXTURE.id][place].astype(int) - counts[condition.id][place])
        assert difference.max() <= 2  # rounding may change a pixel
