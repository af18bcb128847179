"""How far the outputs of a network see."""

import numpy as np
import pytest
import torch
from noise_networks import of_noise

from passband.config.architectures import parse
from passband.learning import networks, receptive_field

NAME = "compact-w2-d2"
KNOWN = parse(NAME)


@pytest.fixture(scope="module")
def network():
    return of_noise(NAME)


def noise(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_the_halo_is_that_of_the_output_that_sees_farthest(monkeypatch, network):
    class WithWideOutput(torch.nn.Module):
        def forward(self, x):
            wide = torch.nn.functional.avg_pool2d(x, 81, 1, 40)
            return torch.cat([network(x), wide], 1)

    monkeypatch.setattr(networks, "build", lambda _: WithWideOutput())
    assert receptive_field.halo.__wrapped__(KNOWN) == 40


def test_halo_is_the_sum_of_the_kernels():
    """Two 3 × 3 convolutions at each of the resolutions 1, 2, 4, 2 and 1 reach 2(1+2+4+2+1) = 20.

    Pooling and upsampling move the boundary by up to a divisor.
    """
    assert receptive_field.halo(KNOWN) in (20, 24)
    assert receptive_field.halo(parse("compact-w3-d1")) in (8, 10)


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
    assert not differs[: 80 - receptive_field.halo(KNOWN)].any()
    assert differs[80 - 12]


def test_network_that_averages_over_the_image_has_no_halo(monkeypatch, network):
    class Averaging(torch.nn.Module):
        def forward(self, x):
            return network(x) + x.mean()

    monkeypatch.setattr(networks, "build", lambda _: Averaging())
    assert receptive_field.halo.__wrapped__(KNOWN) is None


def test_network_whose_positions_depend_on_the_size_has_no_halo(monkeypatch, network):
    class Enlarging(torch.nn.Module):
        def forward(self, x):
            small = torch.nn.functional.max_pool2d(network(x), 4)
            size = x.shape[2:]
            return torch.nn.functional.interpolate(small, size, mode="bilinear", align_corners=True)

    monkeypatch.setattr(networks, "build", lambda _: Enlarging())
    assert receptive_field.halo.__wrapped__(KNOWN) is None


@pytest.mark.slow
def test_halos_of_networks_of_the_library():
    assert receptive_field.halo(parse("unet-resnet18")) % 32 == 0
    assert receptive_field.halo(parse("pspnet-resnet18")) is None
