"""The head `stars`, which was tried: its targets, loss and decoder, on drawn discs."""

import numpy as np
import pandas as pd
import pytest
import torch

from findings.heads import compare
from findings.heads.parts.stars import GRID, RAYS, SCALE_PX, stars, targets

PIXEL_NM = 0.05
SHAPE = 128, 128
#: Row, column and radius of discs on both faces. The second overlaps a third of the first.
DISCS = (40.3, 40.2, 18), (52.4, 60.7, 14), (90.3, 100.2, 12)


def instances(*given):
    """Return labels on both faces (2, y, x) of discs on the faces in turn."""
    y, x = np.indices(SHAPE)
    found = np.zeros((2, *SHAPE), np.uint8)
    for number, (row, column, radius) in enumerate(given):
        found[number % 2][np.hypot(y - row, x - column) <= radius] = number + 1
    return torch.from_numpy(found)


def outputs(labels):
    """Return what a perfect network would return, (17, y, x)."""
    logit = torch.where(labels.amax(0, keepdim=True) > 0, 9.0, -9.0)
    rays = targets(labels)[0]
    rays = rays.repeat_interleave(GRID, -1).repeat_interleave(GRID, -2)
    return torch.cat([logit, rays])


def test_rays_of_the_centre_of_a_disc_are_its_radius():
    wanted, weights = targets(instances((60, 60, 20)))
    rays = SCALE_PX * wanted[:, 30, 30].numpy()
    np.testing.assert_allclose(rays, 20.5, atol=1)
    assert weights[0, 30, 30].item() == pytest.approx(1 / (np.pi * 20**2), rel=0.01)
    # From another pixel, they are as long as the way to the circle.
    angle = 2 * np.pi * np.arange(RAYS) / RAYS
    along = 10 * np.sin(angle)
    expected = -along + np.sqrt(along**2 + 20**2 - 10**2)
    np.testing.assert_allclose(SCALE_PX * wanted[:, 35, 30].numpy(), expected, atol=1.2)
    assert not wanted[:, 0, 0].any()


def test_rays_go_on_under_another_particle_and_end_at_the_edge():
    small, large = (60, 60, 10), (60, 75, 20)
    for given in ([small, large], [large, small]):
        wanted = targets(instances(*given))[0]
        # The pixel is of both, and of the smaller one in the targets.
        assert SCALE_PX * wanted[0, 30, 31].item() == pytest.approx(8, abs=1)
        assert SCALE_PX * wanted[8, 30, 40].item() == pytest.approx(25, abs=1)
    wanted = targets(instances((0, 60, 20)))[0]
    assert SCALE_PX * wanted[12, 5, 30].item() == pytest.approx(10.5)


def test_the_decoder_finds_overlapping_discs_and_their_whole_diameters():
    labels = instances(*DISCS)
    found = stars().decode(outputs(labels).numpy(), PIXEL_NM)
    assert found.labels.max() == len(DISCS)
    wanted = sorted(2 * radius * PIXEL_NM for *_, radius in DISCS)
    np.testing.assert_allclose(sorted(found.diameters_nm), wanted, rtol=0.05)
    for k, (row, column, _) in enumerate(DISCS):
        inside = labels[k % 2].numpy() == k + 1
        own = found.labels == found.labels[round(row), round(column)]
        assert (inside & own).sum() > 0.7 * (inside | own).sum()
    assert not found.labels[labels.amax(0) == 0].any()
    assert stars().decode(np.full((RAYS + 1, 32, 32), -9.0, np.float32), 0.05).labels.max() == 0


def test_the_loss_is_that_of_each_network_and_none_for_perfect_rays():
    labels = instances(*DISCS)[None, None]
    rays = outputs(labels[0, 0])[1:][None, None]
    assert stars().loss(rays, labels).item() == 0
    two = torch.cat([rays, rays + 1]), labels.expand(2, -1, -1, -1, -1)
    loss = stars().loss(*two)
    assert loss.tolist() == [0, pytest.approx(1 - 0.05 / 2)]


def test_crops_turn_images_and_labels_alike():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, (2, 2, 192, 192)).astype(np.uint8)
    images = np.repeat((labels > 0).any(1)[None].astype(np.float32), 2, axis=0)
    for _ in range(8):
        x, mask, numbers = compare.crops(images, labels, rng)
        assert x.shape == (compare.BATCH, 1, compare.CROP_PX, compare.CROP_PX)
        assert torch.equal(x, mask)
        assert torch.equal(mask[:, 0] > 0, (numbers > 0).any(1))


@pytest.mark.slow
def test_training_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    """Both heads begin with the weights of the trunk."""
    monkeypatch.setattr(compare, "BATCH", 2)
    monkeypatch.setattr(compare, "CROP_PX", 32)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (2, 2, 64, 64)).astype(np.uint8)
    images = rng.normal(size=(1, 2, 64, 64)).astype(np.float32)
    ends = []
    for stops in ([3], [2, 3]):
        for steps in stops:
            each = compare.Trained("stars")
            assert each.module.further.last[-1].out_channels == RAYS
            each.load(tmp_path / f"{len(stops)}.pt")
            monkeypatch.setattr(compare, "STEPS", steps)
            each.train(images, labels, tmp_path / f"{len(stops)}.pt")
            monkeypatch.setattr(compare, "STEPS", 2000)
        ends.append([*each.module.parameters()])
    for one, other in zip(*ends, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    ("stars_f1", "kept"), [(0.80, "votes"), (0.825, "votes"), (0.835, "stars")]
)
def test_votes_is_kept_unless_stars_is_better_by_a_margin(stars_f1, kept):
    scores = {"votes": 0.80, "stars": stars_f1}
    rows = [
        {"set": "B", "particles of": name, "F1, both faces": f"{score:.3f} (0.700 to 0.900)"}
        for name, score in scores.items()
    ]
    assert compare.kept(pd.DataFrame(rows)) == kept
