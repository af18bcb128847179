"""Networks that are built by name."""

import re
import socket

import pytest
import torch
from synthetic import weights_metadata

from passband.learning import networks
from passband.parts import PartError
from passband.storage import DamagedError
from passband.storage import weights as files

NAME = "compact-w4-d2"


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.fixture
def weights():
    return {r: networks.build(NAME, seed=r).state_dict() for r in (0, 3)}


# Architectures


@pytest.mark.parametrize(("width", "depth", "px"), [(1, 1, 2), (4, 2, 12), (3, 3, 16), (8, 1, 10)])
def test_output_is_a_logit_for_every_pixel(width, depth, px):
    network = networks.build(f"compact-w{width}-d{depth}").eval()
    logits = network(torch.randn(2, 1, px, 2 * px))
    assert logits.shape == (2, 1, px, 2 * px)
    assert torch.isfinite(logits).all()


def test_channels_double_at_every_halving():
    network = networks.build("compact-w3-d2")
    assert [block[0].out_channels for block in network.down] == [3, 6, 12]
    assert [block[0].in_channels for block in network.up] == [12 + 6, 6 + 3]
    assert [block[0].out_channels for block in network.up] == [6, 3]


@pytest.mark.parametrize(("width", "depth"), [(4, 2), (3, 1), (8, 3)])
def test_a_network_with_a_head_has_its_outputs_and_begins_with_the_same_mask(width, depth):
    """The weights of the trunk are drawn first, so that further ones change none of them."""
    name = f"compact-w{width}-d{depth}"
    plain = networks.build(name, seed=5)
    headed = networks.build(f"{name}+votes", seed=5)
    images = torch.randn(2, 1, 16, 32)
    logits = headed(images)
    assert logits.shape == (2, 4, 16, 32)
    assert torch.equal(logits[:, :1], plain(images))
    state = headed.state_dict()
    assert same({key: state[key] for key in plain.state_dict()}, plain.state_dict())
    assert {key.partition(".")[0] for key in state.keys() - plain.state_dict().keys()} == {
        "further"
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", ["unet-resnet18", "fpn-resnet18", "segformer-mit_b0"])
def test_networks_of_segmentation_models_pytorch_can_have_a_head(name):
    network = networks.build(f"{name}+votes").eval()
    images = torch.randn(1, 1, 64, 96)
    assert network(images).shape == (1, 4, 64, 96)
    few, many = (networks.encoded(each.eval(), images) for each in (networks.build(name), network))
    assert [each.shape for each in few] == [each.shape for each in many]
    assert len(few) > 3


@pytest.mark.parametrize(
    "name",
    ["compact-w4-d3+votes", pytest.param("unet-resnet18+votes", marks=pytest.mark.slow)],
)
def test_outputs_of_a_head_see_far(name):
    """An offset to a centre is known only where the edges of the particle are seen."""
    network = networks.build(name).eval()
    images = torch.randn(1, 1, 64, 64, requires_grad=True)
    network(images)[0, 1:, 32, 32].sum().backward()
    rows = torch.nonzero(images.grad[0, 0].abs().sum(1))
    assert rows.max() - rows.min() > 40


@pytest.mark.parametrize("name", ["compact-w4-d1", "compact-w3-d3"])
def test_network_is_the_plain_u_net(name):
    """Outputs and gradients equal those of a plain U-Net up to rounding.

    The plain U-Net consists of upsampling, joining and convolution.
    """
    network = networks.build(name).double()
    images = torch.randn(2, 1, 16, 24, dtype=torch.float64)

    def plain(x):
        skips = []
        for block in network.down[:-1]:
            skips.append(block(x))
            x = torch.nn.functional.max_pool2d(skips[-1], 2)
        x = network.down[-1](x)
        for block in network.up:
            x = torch.nn.functional.interpolate(x, scale_factor=2)
            x = block(torch.cat((skips.pop(), x), dim=1))
        return network.head(x)

    found = []
    for forward in (network, plain):
        logits = forward(images)
        parameters = list(network.parameters())
        found.append([logits, *torch.autograd.grad((logits**3).sum(), parameters)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_depth_widens_the_view():
    """A deeper network responds to a pixel at a larger distance."""
    image = torch.randn(1, 1, 64, 64)
    dotted = image.clone()
    dotted[..., 32, 32] += 5

    def reach(name):
        network = networks.build(name).eval()
        change = (network(dotted) - network(image))[0, 0].abs()
        assert change[32, 32] > 0
        return int((change.sum(0) > 0).sum())

    assert reach("compact-w4-d1") < reach("compact-w4-d2") < reach("compact-w4-d3")


def test_unknown_name_says_what_is_allowed():
    with pytest.raises(
        ValueError, match="unknown architecture, as there is no encoder 'resnet19'; encoders are "
    ):
        networks.build("unet-resnet19")


# Seeds


def test_same_seed_same_weights_and_another_seed_others():
    first, again, other = (networks.build(NAME, seed).state_dict() for seed in (1, 1, 2))
    assert same(first, again)
    assert not torch.equal(first["head.weight"], other["head.weight"])
    assert not torch.equal(first["down.0.0.weight"], other["down.0.0.weight"])


def test_build_leaves_the_global_generator_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    networks.build(NAME, seed=11)
    assert torch.equal(torch.get_rng_state(), before)


def test_segmentation_models_pytorch_builds_without_a_download(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the test tried to use the internet")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    before = torch.get_rng_state()
    first, again, other = (networks.build("unet-resnet18", seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert same(first.state_dict(), again.state_dict())
    assert not torch.equal(first.encoder.conv1.weight, other.encoder.conv1.weight)
    assert first.encoder.conv1.in_channels == 1
    assert first.eval()(torch.randn(1, 1, 64, 64)).shape == (1, 1, 64, 64)


# On disk


def test_restored_network_predicts_as_the_one_saved(tmp_path):
    network = networks.build(NAME, seed=4)
    network(torch.randn(4, 1, 8, 8))  # moves the running means of batch normalisation
    path = tmp_path / "net.safetensors"
    files.save({0: network.state_dict()}, path, weights_metadata(architecture=NAME))
    restored = networks.restore(NAME, networks.load(path)[0][0])
    assert not restored.training
    images = torch.randn(2, 1, 8, 8)
    assert torch.equal(restored(images), network.eval()(images))


def test_restoring_the_weights_of_another_architecture_fails(weights):
    with pytest.raises(RuntimeError, match="size mismatch"):
        networks.restore("compact-w8-d2", weights[0])


def test_an_architecture_that_is_none_is_named(tmp_path, weights):
    path = tmp_path / "net.safetensors"
    for name in ("compact-w4-d3", ["compact"]):
        files.save(weights, path, weights_metadata(architecture=name))
        with pytest.raises(DamagedError, match=re.escape(f"{path}: not a file of weights: ")):
            networks.load(path)
    for name in ("perceptron", "tiny-dilated"):  # a study may have had such a part
        files.save(weights, path, weights_metadata(architecture=name))
        line = f"{path}: architecture '{name}': is a part of the study, and is missing here"
        with pytest.raises(PartError, match=f"^{re.escape(line)}$"):
            networks.load(path)
