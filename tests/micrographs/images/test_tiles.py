"""Networks that are applied to images of any size, tile by tile."""

import numpy as np
import pytest
import torch

from passband.config.architectures import parse
from passband.learning import networks
from passband.micrographs.images import tiles
from passband.micrographs.images.tiles import Tiling

NAME = "compact-w2-d2"
KNOWN = parse(NAME)


@pytest.fixture(scope="module")
def network():
    """A network with random weights whose batch normalisation has statistics of noise."""
    built = networks.build(NAME, seed=3).train()
    for seed in range(20):
        built(torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(seed)))
    return built.eval()


def whole(network, image, **options):
    """Return the logits of an image, put together from its tiles."""
    tiling = Tiling.of(image.shape, KNOWN, **options)
    result = np.full(image.shape, np.nan, np.float32)
    for place, part in tiles.logits(network, image, tiling, np.asarray):
        assert np.isnan(result[place]).all()
        result[place] = part[0]
    return result


def noise(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_further_outputs_do_not_depend_on_the_size_of_tiles():
    """All outputs of tiles are those of the whole image, also where further ones see farther."""
    known = parse("compact-w2-d3+votes")
    built = networks.build(known, seed=3).train()
    built(torch.randn(2, 1, 64, 64, generator=torch.Generator().manual_seed(1)))
    built.eval()
    image = noise(200, 330)
    expected = built(torch.from_numpy(image[:, :328])[None, None]).detach().numpy()[0]
    assert expected.shape[0] == 4
    tiling = Tiling.of((200, 328), known, 16)
    assert len(tiling) > 2
    found = np.full(expected.shape, np.nan, np.float32)
    for (rows, columns), part in tiles.logits(built, image[:, :328], tiling, np.asarray):
        found[:, rows, columns] = part
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_halo_is_that_of_the_output_that_sees_farthest(monkeypatch, network):
    class WithWideOutput(torch.nn.Module):
        def forward(self, x):
            wide = torch.nn.functional.avg_pool2d(x, 81, 1, 40)
            return torch.cat([network(x), wide], 1)

    monkeypatch.setattr(networks, "build", lambda _: WithWideOutput())
    assert tiles.halo.__wrapped__(KNOWN) == 40


# The receptive field


def test_halo_is_the_sum_of_the_kernels():
    """Two 3 × 3 convolutions at each of the resolutions 1, 2, 4, 2 and 1 reach 2(1+2+4+2+1) = 20.

    Pooling and upsampling move the boundary by up to a divisor.
    """
    assert tiles.halo(KNOWN) in (20, 24)
    assert tiles.halo(parse("compact-w3-d1")) in (8, 10)


def test_pixels_beyond_the_halo_change_nothing(network):
    """Pixels of a boundary that the halo leaves are the first pixels without a change."""
    image = noise(16, 160)
    changed = image.copy()
    changed[:, 80:] = noise(16, 80)[:, ::-1] * 100
    before, after = (
        network(torch.from_numpy(each)[None, None]).detach().numpy()[0, 0]
        for each in (image, changed)
    )
    differs = (np.abs(before - after) > 1e-5).any(0)
    assert not differs[: 80 - tiles.halo(KNOWN)].any()
    assert differs[80 - 12]


def test_network_that_averages_over_the_image_has_no_halo(monkeypatch, network):
    class Averaging(torch.nn.Module):
        def forward(self, x):
            return network(x) + x.mean()

    monkeypatch.setattr(networks, "build", lambda _: Averaging())
    assert tiles.halo.__wrapped__(KNOWN) is None


def test_network_whose_positions_depend_on_the_size_has_no_halo(monkeypatch, network):
    class Enlarging(torch.nn.Module):
        def forward(self, x):
            small = torch.nn.functional.max_pool2d(network(x), 4)
            size = x.shape[2:]
            return torch.nn.functional.interpolate(small, size, mode="bilinear", align_corners=True)

    monkeypatch.setattr(networks, "build", lambda _: Enlarging())
    assert tiles.halo.__wrapped__(KNOWN) is None


def test_without_a_halo_only_one_tile_is_exact(monkeypatch):
    monkeypatch.setattr(tiles, "halo", lambda _: None)
    assert Tiling.of((60, 70), KNOWN, 128).exact
    tiling = Tiling.of((600, 70), KNOWN, 128)
    assert not tiling.exact
    assert tiling.halo == 16


@pytest.mark.slow
def test_halos_of_networks_of_the_library():
    assert tiles.halo(parse("unet-resnet18")) % 32 == 0
    assert tiles.halo(parse("pspnet-resnet18")) is None


# Tiles


@pytest.mark.parametrize("shape", [(64, 64), (65, 131), (100, 37), (203, 158), (9, 300)])
@pytest.mark.parametrize("tile", [8, 64, 72, 100, 1024])
def test_cores_cover_the_image_once_and_keep_their_distance(shape, tile):
    tiling = Tiling.of(shape, KNOWN, tile)
    seen = np.zeros(tiling.padded, int)
    count = 0
    for (top, left), (rows, columns) in tiling:
        count += 1
        seen[rows, columns] += 1
        for start, core, side, n in (
            (top, rows, tiling.tile[0], tiling.padded[0]),
            (left, columns, tiling.tile[1], tiling.padded[1]),
        ):
            assert start % 4 == 0
            assert start >= 0
            assert start + side <= n
            assert core.start == 0 or core.start - start >= tiling.halo
            assert core.stop == n or start + side - core.stop >= tiling.halo
    assert (seen == 1).all()
    assert count == len(tiling)
    assert all(n - 4 < m <= max(n, 8) + 3 for n, m in zip(shape, tiling.padded, strict=True))


@pytest.mark.parametrize("shape", [(64, 64), (97, 203), (128, 150), (5, 211)])
def test_result_does_not_depend_on_the_size_of_tiles(network, shape):
    image = noise(*shape)
    expected = whole(network, image, tile=1024)
    assert np.isfinite(expected).all()
    for tile in (64, 76, 100):
        assert len(Tiling.of(shape, KNOWN, tile)) > 1 or max(shape) <= 100
        found = whole(network, image, tile=tile)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_one_tile_is_the_network_itself(network):
    image = noise(64, 48)
    expected = network(torch.from_numpy(image)[None, None]).detach().numpy()[0, 0]
    np.testing.assert_allclose(whole(network, image), expected, atol=1e-5)


def test_image_is_mirrored_to_a_multiple_of_the_divisor(network):
    image = noise(62, 61)
    padded = np.pad(image, ((0, 2), (0, 3)), mode="symmetric")
    np.testing.assert_array_equal(tiles.window(image, 0, 0, (64, 64)), padded)
    expected = whole(network, padded)[:62, :61]
    np.testing.assert_allclose(whole(network, image), expected, atol=1e-5)


def test_tile_that_is_smaller_than_the_overlap_is_enlarged():
    tiling = Tiling.of((500, 500), KNOWN, 8)
    assert tiling.tile[0] >= 2 * tiling.halo + 4
    assert tiling.exact


def test_default_tile_limits_the_memory():
    assert tiles.default_tile(parse("compact-w8-d3")) == 1024
    assert tiles.default_tile(parse("compact-w64-d4")) < 800
    assert tiles.default_tile(parse("compact-w64-d4")) % 16 == 0
