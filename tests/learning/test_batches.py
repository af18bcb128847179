"""Batches: each structure is used once per epoch, rotated or mirrored, for one or more networks."""

from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest
import torch
from synthetic import CPU

from passband.config import Background, Spread, Training
from passband.imaging.acquisition import Acquisition
from passband.imaging.square_symmetry import turn, turned, turned_field
from passband.learning.batches import Batches, Images, cropped


@pytest.fixture(scope="module")
def split(make_split):
    return make_split(10, "train")


@pytest.fixture
def batches(camera, split, condition):
    """The function ``batches(hold, **settings)``, which returns batches of ten structures."""

    def make(hold=True, spread=0.0, background=None, **changes):
        settings = Training(**({"batch_size": 4, "epochs": 3} | changes))
        given = camera.microscope.model_copy(
            update={
                "spread": Spread(focus_nm=spread, dose=spread),
                "background": background or Background(),
            }
        )
        taken = Acquisition.from_microscope(given, camera.normalisation, CPU)
        return Batches(Images(taken, split, condition, hold), settings)

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


TURNS = np.arange(8)


def seen(camera, split, condition, turns=None):
    """Return images without noise and masks of the first structure, after each operation."""
    formed = Images(camera, split, condition)._formed(np.zeros(8, int), 0, turns)
    intensity, source, places = formed
    return intensity, source.masks[places]


def astigmatic(condition, **further):
    return replace(condition, further={"astigmatism_nm": 12, **further})


def test_a_round_lens_forms_the_same_images_of_turned_structures(camera, split, condition):
    images, masks = seen(camera, split, condition)
    others, turned_masks = seen(camera, split, condition, TURNS)
    torch.testing.assert_close(others, turned_field(images, TURNS), rtol=1e-4, atol=1e-5)
    assert torch.equal(turned_masks, turned_field(masks, TURNS))


def test_a_lens_that_is_not_round_forms_images_of_turned_structures(camera, split, condition):
    lens = astigmatic(condition)
    images, _ = seen(camera, split, lens)
    others, _ = seen(camera, split, lens, TURNS)
    assert torch.equal(others[0], images[0])
    # A turned image would be an image of a turned lens: a quarter turn makes the strongest focus
    # the weakest.
    crossed, _ = seen(camera, split, astigmatic(condition, astigmatism_deg=90))
    quarter = np.full(8, 1)
    torch.testing.assert_close(others[1], turned_field(crossed, quarter)[0], rtol=1e-4, atol=1e-5)
    assert (others[1] - turned_field(images, quarter)[0]).abs().max() > 0.01


def test_only_images_of_round_lenses_are_turned(camera, split, condition):
    settings = Training(batch_size=4, epochs=1)
    for lens, is_turned in ((condition, True), (astigmatic(condition), False)):
        images = Images(camera, split, lens)
        given = []

        def take(places, draw, replicas, turns, images=images, given=given):
            given.append(turns)
            return Images.take(images, places, draw, replicas, turns)

        images.take = take
        list(Batches(images, settings).epoch([0], 0))
        assert all((turns is None) == is_turned for turns in given)


# Epochs


def origin(pair, images, masks):
    """Return the structure and the symmetry operation that a batch's image and mask come from."""
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
    """Return the origins of the images that the first network sees in an epoch."""
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
    """If the last batch had a single image, the image is added to the batch before."""
    made = batches(augment=False, batch_size=batch_size)
    epoch = list(made.epoch([1], 0))
    assert len(made) == len(epoch)
    assert [images.shape for images, _ in epoch] == [(1, n, 1, 32, 32) for n in sizes]
    found = origins(epoch, camera.images(split, condition, replica=1), split.masks)
    assert sorted(i for i, _ in found) == list(range(10))
    assert {how for _, how in found} == {0}


def test_images_and_masks_are_turned_alike_and_every_way(batches, camera, split, condition):
    made, images = batches(noise="fixed"), camera.images(split, condition, replica=1)
    found = [origins(made.epoch([1], epoch), images, split.masks) for epoch in range(8)]
    assert all(sorted(i for i, _ in epoch) == list(range(10)) for epoch in found)
    assert {how for epoch in found for _, how in epoch} == set(range(8))
    assert len({tuple(epoch) for epoch in found}) == 8  # another order and other turns every time


def equal(one, other):
    pairs = list(zip(one, other, strict=True))
    return all(torch.equal(a, b) for x, y in pairs for a, b in zip(x, y, strict=True))


def test_vectorized_networks_have_the_same_batches_as_single_networks(batches):
    made = batches()
    together = list(made.epoch([5, 6, 7], 2))
    for place, replica in enumerate((5, 6, 7)):
        alone = made.epoch([replica], 2)
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
        for replica in (0, 1):
            # Fails if an image is of another draw, or another replica's.
            images = camera.images(split, condition, draw, replica)
            assert len(origins(made.epoch([replica], epoch), images, split.masks)) == 10


@pytest.mark.parametrize("spread", [0.0, 0.3])
@pytest.mark.parametrize("noise", ["fresh", "fixed"])
def test_images_formed_for_every_batch_are_those_that_are_held(batches, noise, spread):
    held, formed = (batches(hold, spread=spread, noise=noise) for hold in (True, False))
    for epoch in (0, 2, 1):
        for replicas in ([1], [1, 2, 3]):
            assert equal(held.epoch(replicas, epoch), formed.epoch(replicas, epoch))


def test_replicas_see_the_same_intensities_with_separate_noise(camera, split, condition):
    """Each replica has a separate Poisson draw. The draws of two replicas are uncorrelated."""
    images = Images(replace(camera, normalisation="vacuum"), split, condition)
    seen, masks = images.take(np.stack([np.arange(10)] * 3), 4, [0, 1, 5])
    assert torch.equal(masks, split.masks.repeat(3, 1, 1, 1))
    electrons = camera.electrons(condition)
    counts = (seen[:, 0].unflatten(0, (3, 10)) + 1) * electrons
    expected = electrons * torch.cat(list(camera.intensities(split, condition)))
    residual = (counts - expected) / expected.sqrt()  # of mean 0 and variance 1
    # 10,240 pixels: four standard errors of a mean are 0.04, of a variance 0.056.
    assert residual.mean((1, 2, 3)).abs().max() < 0.04
    assert (residual.var((1, 2, 3)) - 1).abs().max() < 0.056
    for one, other in combinations(residual, 2):
        assert (one * other).mean().abs() < 0.04
        assert ((one - other).var() - 2).abs() < 0.112
    for one, other in product(residual, [images.take(np.arange(10), draw)[0] for draw in (0, 4)]):
        common = ((other[:, 0] + 1) * electrons - expected) / expected.sqrt()
        assert (one * common).mean().abs() < 0.04  # nor is it the noise of validation


@pytest.mark.parametrize(
    ("spread", "noise", "formed"),
    [(0.0, "fresh", [0]), (0.3, "fresh", [0, 1, 2]), (0.3, "fixed", [0])],
)
def test_intensities_are_formed_once_for_all_networks(batches, monkeypatch, spread, noise, formed):
    """Intensities are formed again in a new epoch only if jitter changes them."""
    draws = []
    intensities = Acquisition.intensities

    def record(self, split, condition, draw=0, chunk=64):
        draws.append((len(split), draw))
        return intensities(self, split, condition, draw, chunk)

    monkeypatch.setattr(Acquisition, "intensities", record)
    made = batches(spread=spread, noise=noise)
    for epoch in range(3):
        for replica in (1, 2, 3):
            list(made.epoch([replica], epoch))
    assert draws == [(10, draw) for draw in formed]
    draws.clear()
    list(batches(hold=False, batch_size=8, spread=spread, noise=noise).epoch([1, 2, 3], 0))
    assert draws[0][0] <= 10  # of 24 images in the batch, each structure's once


def test_order_and_turns_are_seeded_by_all_but_the_architecture(camera, make_split, condition):
    """The seed depends on study, specimen, split, condition, replica and epoch."""
    split, other = make_split(10), replace(condition, cs_um=60)
    of = split.structures
    named = [
        replace(of, seed=of.seed + 1),
        replace(of, specimen="silver"),
        replace(of, split="val"),
    ]
    cases = [(split, condition, 1, 1), (split, other, 1, 1), (split, condition, 2, 1)]
    cases += [(split, condition, 1, 2)]
    cases += [(replace(split, structures=others), condition, 1, 1) for others in named]
    seen = set()
    for source, under, replica, epoch in cases:
        made = Batches(Images(camera, source, under), Training(batch_size=4))
        masks = torch.cat([masks[0] for _, masks in made.epoch([replica], epoch)])
        seen.add(masks.numpy().tobytes())
    assert len(seen) == len(cases)


def test_a_crop_is_a_part_of_the_periodic_image():
    images = torch.arange(2 * 36.0).reshape(2, 1, 6, 6)
    result = cropped(images, np.array([[1, 2], [4, 5]]), 4)
    assert torch.equal(result[0], images[0, :, 1:5, 2:6])
    rows, columns = torch.tensor([4, 5, 0, 1]), torch.tensor([5, 0, 1, 2])
    assert torch.equal(result[1, 0], images[1, 0][rows][:, columns])


def test_no_crop_of_uneven_light_reaches_over_an_edge(batches):
    """There, the brightness of a steep slope would jump down between two rows."""
    steep = Background(slope_sd=20.0, slope_deg=0.0)
    for batch, _ in batches(background=steep, augment=False, crop_px=16).epoch([0, 1], 0):
        rows = batch[:, :, 0].mean(-1)
        assert (rows[..., -1] > rows[..., 0]).all()
        assert (rows.diff(dim=-1) > -0.5).all()


@pytest.mark.slow
def test_image_and_mask_are_cropped_alike_at_a_new_place_in_every_epoch(batches):
    """A crop of a mask is a crop of the mask that the whole image has."""
    whole, small = (batches(True, augment=False, noise="fixed", crop_px=crop) for crop in (0, 16))
    found = []
    for epoch in (0, 1):
        pairs = zip(whole.epoch([0, 3], epoch), small.epoch([0, 3], epoch), strict=True)
        for (image, mask), (part, part_mask) in pairs:
            assert part.shape == part_mask.shape == (*image.shape[:3], 16, 16)
            for k in range(2):
                for n in range(image.shape[1]):
                    places = [
                        (r, c)
                        for r in range(32)
                        for c in range(32)
                        if torch.equal(
                            image[k, n, 0].roll((-r, -c), (0, 1))[:16, :16], part[k, n, 0]
                        )
                    ]
                    assert len(places) == 1
                    r, c = places[0]
                    expected = mask[k, n, 0].roll((-r, -c), (0, 1))[:16, :16]
                    assert torch.equal(expected, part_mask[k, n, 0])
                    found.append(places[0])
    assert len(set(found)) > 30
    again = list(small.epoch([0, 3], 1, first=1))
    assert torch.equal(again[0][0], list(small.epoch([0, 3], 1))[1][0])
