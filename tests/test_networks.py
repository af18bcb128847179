"""Networks by name, and their weights on disk."""

import json
import re
import socket

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from passband import networks
from passband.store import DamagedError, StoreError

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


@pytest.mark.parametrize("name", ["compact-w4-d1", "compact-w3-d3"])
def test_network_is_the_plain_u_net(name):
    """Upsampled, joined and convolved, but for rounding, and so are its gradients."""
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
    """The deeper a network, the farther off a single pixel is noticed."""
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
    with pytest.raises(ValueError, match="unknown architecture; allowed: compact-w<width>"):
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
        raise AssertionError("the network was asked for")

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


def test_weights_and_metadata_come_back(tmp_path, weights):
    path = tmp_path / "deep" / "net.safetensors"
    metadata = {"architecture": NAME, "best": {"0": {"val_loss": 0.25}}, "number": 3, "none": None}
    networks.save(weights, path, metadata)
    loaded, found = networks.load(path)
    assert found == metadata
    assert list(loaded) == [0, 3]
    assert all(same(loaded[r], weights[r]) for r in weights)
    assert [p.name for p in path.parent.iterdir()] == ["net.safetensors"]


def test_replicas_come_back_in_the_order_of_numbers(tmp_path):
    """Safetensors sorts its keys as strings, 10 before 9."""
    path = tmp_path / "net.safetensors"
    networks.save({r: {"a": torch.tensor([r])} for r in range(7, 14)}, path, {})
    loaded, _ = networks.load(path)
    assert list(loaded) == list(range(7, 14))
    assert [int(state["a"]) for state in loaded.values()] == list(range(7, 14))


def test_file_is_plain_safetensors(tmp_path, weights):
    path = tmp_path / "net.safetensors"
    networks.save(weights, path, {"architecture": NAME, "epochs": 3})
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        assert metadata.pop("checksum")
        assert metadata == {"architecture": json.dumps(NAME), "epochs": "3"}
        assert torch.equal(file.get_tensor("3/head.bias"), weights[3]["head.bias"])


def test_channels_last_weights_come_back(tmp_path):
    network = networks.build(NAME).to(memory_format=torch.channels_last)
    path = tmp_path / "net.safetensors"
    networks.save({0: network.state_dict()}, path, {})
    assert same(networks.load(path)[0][0], network.state_dict())


def test_restored_network_predicts_as_the_one_saved(tmp_path):
    network = networks.build(NAME, seed=4)
    network(torch.randn(4, 1, 8, 8))  # moves the running means of batch normalisation
    path = tmp_path / "net.safetensors"
    networks.save({0: network.state_dict()}, path, {})
    restored = networks.restore(NAME, networks.load(path)[0][0])
    assert not restored.training
    images = torch.randn(2, 1, 8, 8)
    assert torch.equal(restored(images), network.eval()(images))


def test_restoring_the_weights_of_another_architecture_fails(weights):
    with pytest.raises(RuntimeError, match="size mismatch"):
        networks.restore("compact-w8-d2", weights[0])


def test_failed_save_leaves_what_was_there(tmp_path, weights):
    path = tmp_path / "net.safetensors"
    networks.save(weights, path, {})
    with pytest.raises(TypeError, match="not JSON serializable"):
        networks.save(weights, path, {"bad": object()})
    assert same(networks.load(path)[0][0], weights[0])
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("damage", ["truncated", "header", "garbage", "empty", "folder", "missing"])
def test_file_that_is_no_whole_file_of_weights_is_named_in_one_line(tmp_path, weights, damage):
    path = tmp_path / "net.safetensors"
    networks.save(weights, path, {})
    data = path.read_bytes()
    path.unlink()
    match damage:
        case "truncated":
            path.write_bytes(data[:-10])
        case "header":
            path.write_bytes(data[:20])
        case "garbage":
            path.write_bytes(b"these are not weights\n" * 100)
        case "empty":
            path.touch()
        case "folder":
            path.mkdir()
    with pytest.raises(StoreError, match=re.escape(str(path))) as caught:
        networks.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("tensors", "metadata"),
    [({"head.weight": torch.zeros(1)}, {}), ({"0/a": torch.zeros(1)}, {"format": "pt"})],
    ids=["keys", "metadata"],
)
def test_foreign_safetensors_file_is_named(tmp_path, tensors, metadata):
    path = tmp_path / "foreign.safetensors"
    save_file(tensors, path, metadata)
    with pytest.raises(StoreError, match=re.escape(str(path))):
        networks.load(path)


# Fingerprint


def test_file_of_other_networks_is_refused(tmp_path, weights):
    path = tmp_path / "net.safetensors"
    networks.save(weights, path, {"condition": "a", "context": "x"})
    assert networks.load(path, {"condition": "a"})[1]["condition"] == "a"
    with pytest.raises(DamagedError, match=f"{path}: its condition is 'a', expected 'b'"):
        networks.load(path, {"condition": "b"})
    assert networks.holds(path, "x")["condition"] == "a"
    assert networks.holds(path, "y") is None
    assert networks.holds(tmp_path / "no.safetensors", "x") is None


@pytest.mark.parametrize("what", ["weights", "metadata"])
def test_a_flipped_bit_is_refused(tmp_path, weights, what):
    """safetensors itself does not look at what tensors hold."""
    path = tmp_path / "net.safetensors"
    networks.save(weights, path, {"condition": "a"})
    whole = bytearray(path.read_bytes())
    whole[-1 if what == "weights" else whole.index(b'\\"a\\"') + 2] ^= 1
    path.write_bytes(whole)
    load_file(path)
    with pytest.raises(DamagedError, match="not a whole file of weights: its checksum"):
        networks.load(path)


def test_fingerprint_survives_the_disk(tmp_path, weights):
    path = tmp_path / "net.safetensors"
    networks.save(weights, path, {})
    assert networks.fingerprint(networks.load(path)[0]) == networks.fingerprint(weights)


def test_fingerprint_changes_with_a_value_a_name_and_a_replica(weights):
    changed = {r: {k: v.clone() for k, v in state.items()} for r, state in weights.items()}
    assert networks.fingerprint(changed) == networks.fingerprint(weights)
    changed[3]["head.bias"] += 1e-6
    renamed = {0: weights[0], 4: weights[3]}
    swapped = {0: weights[3], 3: weights[0]}
    fewer = {0: weights[0]}
    all_of_them = [weights, changed, renamed, swapped, fewer]
    assert len({networks.fingerprint(w) for w in all_of_them}) == 5
