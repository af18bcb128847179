"""Batch normalisation and ReLU of bfloat16 images as one function, compared with torch's."""

import pytest
import torch
from torch import nn

from passband.learning import networks
from passband.learning.narrow import normalisation
from passband.learning.vectorized import SingleNetwork


def images(channels, side, seed=0):
    made = torch.randn(3, channels, side, side, generator=torch.manual_seed(seed))
    return made.bfloat16().contiguous(memory_format=torch.channels_last)


def layer(channels):
    made = nn.BatchNorm2d(channels)
    made.weight.data = torch.linspace(0.5, 2, channels)
    made.bias.data = torch.linspace(-1, 1, channels)
    return made


@pytest.mark.slow
@pytest.mark.parametrize(("channels", "side"), [(2, 8), (8, 20), (16, 7), (64, 4)])
def test_values_and_gradients_are_torchs_in_float32(channels, side):
    """The images have few values near the limit of ReLU, so that rounding passes no gradient."""
    x, slopes = 2 * images(channels, side) + 1, images(channels, side, seed=1)
    made, exact = layer(channels), layer(channels)
    one = x.detach().requires_grad_()
    other = x.float().detach().requires_grad_()
    assert normalisation.applies(made, one)
    result = normalisation.normalise(made, one)
    normal = exact(other)
    sure = normal.detach().abs() > 1e-2
    result.backward(slopes * sure)
    normal.relu().backward(slopes.float() * sure)
    assert result.dtype == one.grad.dtype == torch.bfloat16
    torch.testing.assert_close(result.float(), normal.relu(), rtol=2**-8, atol=1e-5)
    torch.testing.assert_close(one.grad.float(), other.grad, rtol=2**-7, atol=2e-3)
    for weight, expected in zip(made.parameters(), exact.parameters(), strict=True):
        torch.testing.assert_close(weight.grad, expected.grad, rtol=1e-3, atol=1e-3)
    for buffer, expected in zip(made.buffers(), exact.buffers(), strict=True):
        torch.testing.assert_close(buffer, expected, rtol=1e-4, atol=1e-5)


def test_it_computes_only_what_its_layout_allows():
    x = images(8, 4)
    assert normalisation.applies(layer(8), x)
    assert not normalisation.applies(layer(8).eval(), x)
    assert not normalisation.applies(layer(8), x.float())
    assert not normalisation.applies(layer(8), x.contiguous())
    assert not normalisation.applies(layer(12), images(12, 4))
    assert not normalisation.applies(layer(2), images(2, 1))  # less than a vector


@pytest.mark.slow
def test_a_step_differs_from_float32_as_much_as_torchs_step_in_bfloat16(monkeypatch):
    x = torch.randn(4, 1, 32, 32, generator=torch.manual_seed(0))
    x = x.contiguous(memory_format=torch.channels_last)

    def step(precision):
        module = networks.build("compact-w8-d2", 1).to(memory_format=torch.channels_last)
        learning = SingleNetwork(module, precision)
        learning.forward(x[None]).float().square().mean().backward()
        assert module.down[0][1].num_batches_tracked == 1
        gradient = torch.cat([p.grad.flatten() for p in module.parameters()])
        return gradient, learning.predict(x)[0].float()

    exact, fused = step("float32"), step("bfloat16")
    monkeypatch.setattr(normalisation, "applies", lambda *_: False)
    torchs = step("bfloat16")
    assert not torch.equal(fused[0], torchs[0])
    for one, other, expected in zip(fused, torchs, exact, strict=True):
        assert (one - expected).norm() < 1.5 * (other - expected).norm()


def test_a_network_that_torch_compiles_has_torchs_layers(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    monkeypatch.setattr(normalisation, "applies", lambda *_: pytest.fail("called"))
    learning = SingleNetwork(networks.build("compact-w8-d2", 1), "bfloat16")
    learning.compile()
    assert (learning.predict(torch.rand(2, 1, 8, 8)) != 0).any()
    learning.forward(torch.rand(1, 2, 1, 8, 8)).float().sum().backward()
