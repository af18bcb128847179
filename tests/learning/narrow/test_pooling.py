"""Max pooling of bfloat16 images as one function, compared with torch's: the same bits."""

import pytest
import torch
from torch import nn

from passband.learning import networks
from passband.learning.narrow import pooling, simd
from passband.learning.vectorized import SingleNetwork

# Pixels of half a vector, of one vector, and of several vectors.
SIZES = [(simd.LANES // 2, 4), (simd.LANES // 2, 20), (16, 8), (32, 4), (64, 12)]


def images(channels, side, seed=0):
    made = torch.randn(3, channels, side, side, generator=torch.manual_seed(seed))
    return made.bfloat16().contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("channels", "side"), SIZES)
def test_maxima_and_gradients_have_the_bits_of_torchs(channels, side):
    """Rounded images have many equal maxima. The first of them gets the gradient."""
    x = (2 * images(channels, side)).round().relu()
    slopes, gradient = images(channels, side // 2, seed=1), images(channels, side, seed=2)
    one, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    assert pooling.applies(one)
    same, small = pooling.halve(one)
    expected = nn.functional.max_pool2d(other, 2)
    torch.autograd.backward([same, small], [gradient, slopes])
    torch.autograd.backward([other.view_as(other), expected], [gradient, slopes])
    assert small.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(same, x)
    assert torch.equal(small, expected)
    assert torch.equal(one.grad, other.grad)


def test_a_gradient_of_the_maxima_alone_is_enough():
    x = images(8, 8).requires_grad_()
    pooling.halve(x)[1].sum().backward()
    assert x.grad.sum() == x[:, :, ::2, ::2].numel()


def test_it_computes_only_what_its_layout_allows():
    x = images(16, 8)
    assert pooling.applies(x)
    assert not pooling.applies(x.float())
    assert not pooling.applies(x.contiguous())
    assert not pooling.applies(images(12, 8))
    assert not pooling.applies(images(16, 6))  # rows of half the resolution have whole pairs
    assert not pooling.applies(x.to("meta"))


def test_a_step_has_the_bits_of_a_step_with_torchs_pooling(monkeypatch):
    x = torch.randn(4, 1, 32, 32, generator=torch.manual_seed(0))
    x = x.contiguous(memory_format=torch.channels_last)
    called = []

    def step():
        module = networks.build("compact-w8-d2", 1).to(memory_format=torch.channels_last)
        learning = SingleNetwork(module, "bfloat16")
        learning.forward(x[None]).float().square().mean().backward()
        gradient = torch.cat([p.grad.flatten() for p in module.parameters()])
        return gradient, learning.predict(x)

    halve = pooling.halve
    monkeypatch.setattr(pooling, "halve", lambda x: called.append(x.shape[1:]) or halve(x))
    fused = step()
    assert called == [(8, 32, 32), (16, 16, 16)] * 2
    monkeypatch.setattr(pooling, "applies", lambda _: False)
    for one, other in zip(fused, step(), strict=True):
        assert torch.equal(one, other)
