"""Compact U-Nets by compiled functions: the same results as torch, and the same bits each time."""

import numpy as np
import pytest
import torch
from torch import nn

from passband.config import Training
from passband.learning import networks
from passband.learning.losses import entropy_dice
from passband.learning.narrow import CompactNetworks
from passband.learning.narrow import compiled_unet as compiled
from passband.learning.narrow.kernels import Plan, blocks, kernels
from passband.learning.narrow.simd import LANES

pytestmark = pytest.mark.slow

SETTINGS = Training(precision="float32")


def batch(networks, images, side, seed=0):
    random = torch.manual_seed(seed)
    shape = networks, images, 1, side, side
    masks = (torch.rand(shape, generator=random) < 0.2).float()
    return torch.randn(shape, generator=random), masks


# Compiled functions


@pytest.mark.parametrize(("images", "side"), [(1, 2), (3, 8), (2, 33)])
def test_planes_have_zeros_around_every_image(images, side):
    plan = Plan(images, side)
    planes = plan.planes(2)
    plan.pixels(planes)[:] = 1
    assert planes.sum() == 2 * images * side**2
    assert planes.ctypes.data % 64 == 0
    assert np.array_equal(planes[0], plan.mask)
    (places,) = np.nonzero(plan.mask)
    for tap in plan.taps[0]:
        assert plan.mask[places + tap].sum() < len(places) or tap == 0
        assert 0 <= places.min() + tap <= places.max() + tap + LANES < plan.length


def random_planes(plan, channels, seed):
    planes = plan.planes(channels)
    view = plan.pixels(planes)
    view[:] = np.random.default_rng(seed).normal(size=view.shape)
    return planes, torch.from_numpy(view.transpose(1, 0, 2, 3).copy())


@pytest.mark.parametrize(("inputs", "outputs", "images", "side"), [(1, 4, 3, 8), (8, 12, 2, 17)])
def test_convolutions_and_the_gradients_of_their_weights_are_torchs(inputs, outputs, images, side):
    plan = Plan(images, side)
    x, pictures = random_planes(plan, inputs, 0)
    g, slopes = random_planes(plan, outputs, 1)
    weights = torch.randn(outputs, inputs, 3, 3, generator=torch.manual_seed(2))
    bias = np.linspace(-1, 1, outputs, dtype=np.float32)
    out = plan.planes(outputs)
    flat = blocks(weights.reshape(outputs, inputs, 9).numpy())
    size = inputs, outputs, plan.length, plan.first, plan.number
    given = x.reshape(-1), flat.reshape(-1), plan.taps, plan.mask, out.reshape(-1), *size, 0, 0
    expected = nn.functional.conv2d(pictures, weights, torch.from_numpy(bias), padding=1)

    def check(expected):
        made = torch.from_numpy(plan.pixels(out).transpose(1, 0, 2, 3).copy())
        torch.testing.assert_close(made, expected, rtol=1e-5, atol=1e-5)
        assert not out[:, plan.mask == 0].any()

    kernels.convolve(*given, bias, False, False)
    check(expected)
    kernels.convolve(*given, bias, True, False)
    check(2 * expected - torch.from_numpy(bias)[:, None, None])
    kernels.convolve(*given, bias, False, True)
    check(expected.relu())
    sums = np.zeros(inputs * 9 * outputs * LANES, np.float32)
    kernels.correlate3(g.reshape(-1), x.reshape(-1), plan.taps[0], sums, *size)
    found = sums.reshape(inputs, 9, outputs, LANES).sum(-1).transpose(2, 0, 1)
    gradient = torch.nn.grad.conv2d_weight(pictures, weights.shape, slopes, padding=1)
    torch.testing.assert_close(
        torch.from_numpy(found.reshape(weights.shape)), gradient, rtol=1e-5, atol=1e-4
    )


# The vectors of a row, and the pixels that are left.
@pytest.mark.parametrize("side", [3, 16, 21])
def test_pooling_chooses_the_first_of_equal_pixels_as_torch(side):
    random, plan, half = np.random.default_rng(0), Plan(2, 2 * side), Plan(2, side)
    x, out, g, pooled = plan.planes(4), plan.planes(4), half.planes(4), half.planes(4)
    plan.pixels(x)[:] = random.integers(3, size=(4, 2, 2 * side, 2 * side))
    plan.pixels(out)[:] = 1
    half.pixels(g)[:] = random.normal(size=(4, 2, side, side))
    flat, places = [each.reshape(-1) for each in (g, x, pooled, out)], (plan.places, half.places)
    kernels.pool(*flat[1:3], 4, *places)
    kernels.add_pooled(*flat, 4, *places)
    leaf = torch.from_numpy(plan.pixels(x).copy()).requires_grad_()
    expected = nn.functional.max_pool2d(leaf, 2)
    expected.backward(torch.from_numpy(half.pixels(g).copy()))
    assert np.array_equal(half.pixels(pooled), expected.detach().numpy())
    np.testing.assert_allclose(plan.pixels(out) - 1, leaf.grad.numpy(), atol=1e-6)
    for planes, of in ((pooled, half), (out, plan)):
        assert not (planes * (1 - of.mask)).any()


@pytest.mark.parametrize("side", [3, 16, 21])
def test_doubled_images_have_the_pixels_of_their_quarters(side):
    random, plan, half = np.random.default_rng(0), Plan(2, 2 * side), Plan(2, side)
    x, again, quarters = plan.planes(4), plan.planes(4), half.planes(16)
    half.pixels(quarters)[:] = random.normal(size=(16, 2, side, side))
    places = 4, plan.places, half.places
    kernels.interleave(quarters.reshape(-1), x.reshape(-1), *places)
    for k, (i, j) in enumerate(np.ndindex(2, 2)):
        found = plan.pixels(x)[..., i::2, j::2]
        assert np.array_equal(found, half.pixels(quarters)[4 * k : 4 * k + 4])
    back = half.planes(16)
    kernels.separate(x.reshape(-1), back.reshape(-1), *places)
    kernels.interleave(back.reshape(-1), again.reshape(-1), *places)
    assert np.array_equal(back, quarters)
    assert np.array_equal(again, x)


# Networks


@pytest.mark.parametrize(
    ("name", "images", "side"), [("compact-w4-d2", 3, 24), ("compact-w8-d1", 2, 6)]
)
def test_a_step_is_torchs_up_to_rounding(name, images, side):
    """Loss, gradients and running statistics are compared with torch in float64.

    Where a value is within rounding of 0, ReLU may pass its gradient in one of the two and not in
    the other, which changes all gradients a little. So the error is the median over networks.
    """
    modules = [networks.build(name, seed) for seed in range(5)]
    pictures, masks = batch(5, images, side)
    made = CompactNetworks(modules)
    losses = made.accumulate(pictures, masks, SETTINGS)
    errors = []
    for place, module in enumerate(modules):
        module.double()
        logits = module(pictures[place].double())
        value = nn.functional.binary_cross_entropy_with_logits(logits, masks[place].double())
        p, m = logits.sigmoid(), masks[place].double()
        value = value + 1 - 2 * (p * m).sum() / (p.sum() + m.sum())
        value.backward()
        assert losses[place].item() == pytest.approx(value.item(), rel=1e-5)
        for key, buffer in module.named_buffers():
            torch.testing.assert_close(
                made.tensors[key][place].double(), buffer.double(), rtol=1e-4, atol=1e-6
            )
        errors.append(
            max(
                (made.gradients[key][place] - weight.grad).abs().max() / weight.grad.abs().max()
                for key, weight in module.named_parameters()
            ).item()
        )
    assert np.median(errors) < 1e-4
    assert max(errors) < 0.2


@pytest.mark.parametrize("number", [1, 3, 9])
def test_predictions_are_torchs_up_to_rounding(number, monkeypatch):
    monkeypatch.setattr(compiled, "_PREDICTED_TOGETHER", 4 * 16**2)  # several parts
    modules = [networks.build("compact-w4-d2", seed) for seed in range(2)]
    pictures, masks = batch(2, 4, 16)
    made = CompactNetworks(modules)
    made.accumulate(pictures, masks, SETTINGS)  # changes the running statistics
    images = batch(1, number, 16, seed=3)[0][0]
    logits = made.predict(images)
    assert logits.shape == (2, number, 1, 16, 16)
    for place, module in enumerate(modules):
        module.load_state_dict({key: value[place] for key, value in made.tensors.items()})
        with torch.no_grad():
            torch.testing.assert_close(logits[place], module.eval()(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_network_has_the_same_bits_alone_and_beside_others(threads):
    """The planes are large enough that two threads share the networks."""
    pictures, masks = batch(3, 3, 96)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        beside = CompactNetworks([networks.build("compact-w4-d1", seed) for seed in range(3)])
        losses = beside.accumulate(pictures, masks, SETTINGS)
    finally:
        torch.set_num_threads(before)
    for place in range(3):
        alone = CompactNetworks([networks.build("compact-w4-d1", place)])
        one = alone.accumulate(pictures[place][None], masks[place][None], SETTINGS)
        assert one.item() == losses[place].item()
        for key, gradient in alone.gradients.items():
            assert torch.equal(gradient[0], beside.gradients[key][place])
        for key, tensor in alone.tensors.items():
            assert torch.equal(tensor[0], beside.tensors[key][place])
        images = pictures[0]
        assert torch.equal(alone.predict(images)[0], beside.predict(images)[place])


def test_masks_can_be_shared_by_all_networks():
    pictures, masks = batch(2, 2, 8)
    module = networks.build("compact-w4-d1")
    shared = CompactNetworks([module, module]).accumulate(pictures, masks[:1], SETTINGS)
    apart = CompactNetworks([module, module]).accumulate(
        pictures, masks[:1].repeat(2, 1, 1, 1, 1), SETTINGS
    )
    assert torch.equal(shared, apart)
    logits = module(pictures[1])
    assert shared[1].item() == pytest.approx(
        entropy_dice(logits[None], masks[:1], SETTINGS).item(), rel=1e-5
    )
