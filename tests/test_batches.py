"""Batches: every structure once an epoch, turned, for one network or several."""

import numpy as np
import pytest
import torch

from passband.batches import Batches, Images, turn, turned
from passband.config import Training
from passband.examples import Camera


@pytest.fixture(scope="module")
def split(make_split):
    return make_split(10, "train")


@pytest.fixture
def batches(camera, split, condition):
    """``batches(hold, **settings)`` makes batches of ten structures."""

    def make(hold=True, **changes):
        settings = Training(**({"batch_size": 4, "epochs": 3} | changes))
        return Batches(Images(camera, split, condition, hold), settings)

    return make


# Turns


def test_turns_are_the_eight_symmetries_of_the_square():
    image = torch.arange(9.0).reshape(1, 3, 3)
    turns = [turn(image, how) for how in range(8)]
    assert len({tuple(t.flatten().tolist()) for t in turns}) == 8
    distance = torch.cdist(*[torch.cartesian_prod(torch.arange(3.0), torch.arange(3.0))] * 2)
    for t in turns:  # symmetries keep every pixel's distance to every other
        order = t.flatten().long()
        assert torch.equal(distance[order][:, order], distance)
    assert torch.equal(turns[0], image)


def test_images_are_turned_each_by_its_own():
    images = torch.arange(5 * 16.0).reshape(5, 1, 4, 4)
    how = np.array([3, 0, 6, 3, 1])
    expected = torch.stack([turn(image, int(h)) for image, h in zip(images, how, strict=True)])
    assert torch.equal(turned(images, how), expected)


# Epochs


def origin(pair, images, masks):
    """Return the structure and the symmetry that a batch's image and mask come from."""
    found = [
        (i, how)
        for i in range(len(images))
        for how in range(8)
        if torch.equal(turn(images[i], how), pair[0])
    ]
    assert len(found) == 1
    (i, how) = found[0]
    assert torch.equal(turn(masks[i], how), pair[1]), "image and mask are turned differently"
    return i, how


def origins(epoch, images, masks):
    """Return the origins of the first network's images in an epoch."""
    return [
        origin(pair, images, masks)
        for batch in epoch
        for pair in zip(*(part[0] for part in batch), strict=True)
    ]


@pytest.mark.parametrize(
    ("batch_size", "sizes"),
    [(3, [3, 3, 4]), (4, [4, 4, 2]), (5, [5, 5]), (9, [10]), (10, [10]), (64, [10])],
)
def test_every_structure_is_in_an_epoch_exactly_once(
    batches, camera, split, condition, batch_size, sizes
):
    """A last image that would be alone joins the batch before."""
    made = batches(augment=False, batch_size=batch_size)
    epoch = list(made.epoch([1], 0))
    assert len(made) == len(epoch)
    assert [images.shape for images, _ in epoch] == [(1, n, 1, 32, 32) for n in sizes]
    found = origins(epoch, camera.images(split, condition), split.masks)
    assert sorted(i for i, _ in found) == list(range(10))
    assert {how for _, how in found} == {0}


def test_images_and_masks_are_turned_alike_and_every_way(batches, camera, split, condition):
    made, images = batches(noise="fixed"), camera.images(split, condition)
    found = [origins(made.epoch([1], epoch), images, split.masks) for epoch in range(8)]
    assert all(sorted(i for i, _ in epoch) == list(range(10)) for epoch in found)
    assert {how for epoch in found for _, how in epoch} == set(range(8))
    assert len({tuple(epoch) for epoch in found}) == 8  # another order and other turns every time


def equal(one, other):
    pairs = list(zip(one, other, strict=True))
    return all(torch.equal(a, b) for x, y in pairs for a, b in zip(x, y, strict=True))


def test_networks_in_step_have_the_batches_they_have_alone(batches):
    made = batches()
    together = list(made.epoch([5, 6, 7], 2))
    for place, network_seed in enumerate((5, 6, 7)):
        alone = made.epoch([network_seed], 2)
        assert equal(alone, [[part[place, None] for part in pair] for pair in together])
    assert not equal(made.epoch([5], 2), made.epoch([6], 2))


@pytest.mark.parametrize("first", [0, 1, 2, 3])
def test_batches_that_are_passed_over_change_none_after(batches, first):
    assert equal(batches().epoch([1], 1, first), list(batches().epoch([1], 1))[first:])


def test_batches_depend_on_no_global_random_state(batches):
    torch.manual_seed(1)
    one = list(batches().epoch([1], 0))
    torch.manual_seed(2)
    assert equal(one, batches().epoch([1], 0))


@pytest.mark.parametrize("noise", ["fresh", "fixed"])
def test_noise_is_drawn_every_epoch_or_once(batches, camera, split, condition, noise):
    made = batches(augment=False, noise=noise)
    for epoch in range(3):
        draw = epoch if noise == "fresh" else 0
        # Fails if an image is of another draw.
        found = origins(made.epoch([1], epoch), camera.images(split, condition, draw), split.masks)
        assert len(found) == 10


@pytest.mark.parametrize("noise", ["fresh", "fixed"])
def test_images_formed_for_every_batch_are_those_that_are_held(batches, noise):
    held, formed = batches(True, noise=noise), batches(False, noise=noise)
    for epoch in (0, 2):
        for seeds in ([1], [1, 2, 3]):
            assert equal(held.epoch(seeds, epoch), formed.epoch(seeds, epoch))


def test_a_draw_is_formed_once_for_all_networks(batches, monkeypatch):
    draws = []
    images = Camera.images

    def record(self, split, condition, draw=0):
        draws.append((len(split), draw))
        return images(self, split, condition, draw)

    monkeypatch.setattr(Camera, "images", record)
    made = batches()
    for epoch in (0, 1):
        for network_seed in (1, 2, 3):
            list(made.epoch([network_seed], epoch))
    assert draws == [(10, 0), (10, 1)]
    draws.clear()
    list(batches(hold=False, batch_size=8).epoch([1, 2, 3], 0))
    assert draws[0][0] <= 10  # of 24 images in the batch, each structure's once
