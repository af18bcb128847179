"""Networks that are applied to images of any size, tile by tile."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from noise_networks import of_noise
from scipy.special import expit

from passband.config.architectures import parse
from passband.learning import networks
from passband.learning.torch_model import TorchModel
from passband.micrographs.images import tiles
from passband.micrographs.images.tiles import Tiling

NAME = "compact-w2-d2"
KNOWN = parse(NAME)


@pytest.fixture(scope="module")
def network():
    return of_noise(NAME)


@dataclass(frozen=True)
class Without:
    """The numbers of a network that sees the whole image."""

    divisor: int = 4
    smallest_px: int = 8
    halo: int | None = None
    bytes_per_pixel: float = 100.0


def of_name(name):
    """Return the model of an architecture, whose network is not called."""
    return TorchModel(torch.nn.Identity(), parse(name))


def whole(network, image, **options):
    """Return the probability of an image, put together from its tiles."""
    model = TorchModel(network, KNOWN)
    tiling = Tiling.of(image.shape, model, **options)
    result = np.full(image.shape, np.nan, np.float32)
    for place, part in tiles.seen(model, image, tiling, np.asarray):
        assert np.isnan(result[place]).all()
        result[place] = part[0]
    return result


def noise(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.slow
def test_further_outputs_do_not_depend_on_the_size_of_tiles():
    """All outputs of tiles are those of the whole image, also where further ones see farther."""
    known = parse("compact-w2-d3+votes")
    built = networks.build(known, seed=3).train()
    built(torch.randn(2, 1, 64, 64, generator=torch.Generator().manual_seed(1)))
    built.eval()
    image = noise(200, 330)
    expected = built(torch.from_numpy(image[:, :328])[None, None]).detach().numpy()[0]
    assert expected.shape[0] == 4
    model = TorchModel(built, known)
    tiling = Tiling.of((200, 328), model, 16)
    assert len(tiling) > 2
    found = np.full(expected.shape, np.nan, np.float32)
    for (rows, columns), part in tiles.seen(model, image[:, :328], tiling, np.asarray):
        found[:, rows, columns] = part
    np.testing.assert_allclose(found[0], expit(expected[0]), atol=1e-5)
    np.testing.assert_allclose(found[1:], expected[1:], atol=1e-4)


def test_without_a_halo_only_one_tile_is_exact():
    assert Tiling.of((60, 70), Without(), 128).exact
    tiling = Tiling.of((600, 70), Without(), 128)
    assert not tiling.exact
    assert tiling.halo == 16


# Tiles


@pytest.mark.parametrize("shape", [(64, 64), (65, 131), (100, 37), (203, 158), (9, 300)])
@pytest.mark.parametrize("tile", [8, 64, 72, 100, 1024])
def test_cores_cover_the_image_once_and_keep_their_distance(shape, tile):
    tiling = Tiling.of(shape, of_name(NAME), tile)
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
        assert len(Tiling.of(shape, of_name(NAME), tile)) > 1 or max(shape) <= 100
        found = whole(network, image, tile=tile)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_one_tile_is_the_network_itself(network):
    image = noise(64, 48)
    expected = network(torch.from_numpy(image)[None, None]).detach().numpy()[0, 0]
    np.testing.assert_allclose(whole(network, image), expit(expected), atol=1e-5)


def test_image_is_mirrored_to_a_multiple_of_the_divisor(network):
    image = noise(62, 61)
    padded = np.pad(image, ((0, 2), (0, 3)), mode="symmetric")
    np.testing.assert_array_equal(tiles.window(image, 0, 0, (64, 64)), padded)
    expected = whole(network, padded)[:62, :61]
    np.testing.assert_allclose(whole(network, image), expected, atol=1e-5)


def test_tile_that_is_smaller_than_the_overlap_is_enlarged():
    tiling = Tiling.of((500, 500), of_name(NAME), 8)
    assert tiling.tile[0] >= 2 * tiling.halo + 4
    assert tiling.exact


@pytest.mark.parametrize("length", range(100, 900, 52))
def test_tiles_are_no_larger_than_their_number_needs(length):
    model = of_name(NAME)
    found = Tiling.of((length, 40), model, 128)
    smaller = Tiling.of((length, 40), model, found.tile[0] - model.divisor)
    assert found.tile[0] <= 128
    assert len(found) == 1 + max(0, -(-(length - 128) // (128 - 2 * found.halo)))
    assert found.tile[0] == length or len(smaller) > len(found)


def test_default_tile_limits_the_memory():
    assert tiles.default_tile(of_name("compact-w8-d3")) == 1024
    assert tiles.default_tile(of_name("compact-w64-d4")) < 800
    assert tiles.default_tile(of_name("compact-w64-d4")) % 16 == 0
