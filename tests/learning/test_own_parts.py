"""Losses and architectures that a study brings, in files of its folder ``parts``."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_file
import pytest
import torch
from parts_text import HEAD, LAYERS, LOSS, NETWORK
from synthetic import CPU, weights_metadata

import passband
from passband import PassbandError, extras
from passband.config.architectures import parse
from passband.grid import Condition
from passband.learning import backend, memory, network_sizes, network_trial, networks, schedules
from passband.learning.batches import Images
from passband.learning.network_files import Network, open_networks
from passband.learning.training import train as fit_networks
from passband.micrographs.images.segmentation import segment
from passband.micrographs.images.settings import Settings
from passband.parts import STORED, PartError
from passband.storage import weights as files
from passband.store.recipe import Recipes

EXAMPLES = Path(__file__).parents[2] / "examples/parts"


@pytest.fixture
def example(tmp_path, study):
    """Return a function that makes a study with a part of ``examples/``."""

    def make(name, **keys):
        (tmp_path / "parts").mkdir(exist_ok=True)
        shutil.copy(EXAMPLES / f"{name}.py", tmp_path / "parts")
        return study(**keys)

    return make


@pytest.fixture
def fit(camera, make_split, condition):
    """Return a function that trains replicas on synthetic discs."""

    def train(of, architecture="compact-w4-d2", seeds=1, **options):
        splits = make_split(10, "train"), make_split(6, "val")
        many = {replica: 11 + replica for replica in range(seeds)}
        return fit_networks(architecture, camera, splits, condition, of.training, many, **options)

    return train


# The examples


@pytest.mark.slow
def test_the_example_of_a_loss_is_learned(example, fit):
    of = example("tversky", loss="tversky", epochs=3)
    network_trial.check(of)
    (trained,) = fit(of).values()
    losses = [record.val_loss for record in trained.history]
    assert losses[-1] < losses[0] < 1
    # It is another loss than the package's.
    assert losses != [r.val_loss for r in fit(example("tversky", epochs=3))[0].history]


def test_the_example_of_a_loss_is_that_of_its_source(example):
    """Without pixels between, it is 1 − TP / (TP + 0.3 FP + 0.7 FN) of counted pixels."""
    tversky = example("tversky", loss="tversky").training.loss_part.load()
    mask = torch.zeros(1, 1, 1, 4, 4)
    mask[..., :2, :] = 1  # 8 pixels
    logits = torch.full((1, 1, 1, 4, 4), -50.0)
    logits[..., 1:3, :] = 50  # 4 are found, 4 are missed and 4 are wrong
    assert tversky(logits, mask, None).item() == pytest.approx(1 - 4 / (4 + 0.3 * 4 + 0.7 * 4))
    assert tversky(torch.full_like(logits, -50), 0 * mask, None).isfinite().all()


@pytest.mark.slow
def test_the_example_of_an_architecture_is_trained_and_opened(example, fit, tmp_path):
    of = example("dilated", architectures=["dilated"], epochs=3)
    network_trial.check(of)
    (trained,) = fit(of, "dilated").values()
    losses = [record.val_loss for record in trained.history]
    assert losses[-1] < losses[0]
    path = tmp_path / "net.safetensors"
    files.save({0: trained.weights}, path, weights_metadata(architecture="dilated"))
    found, _ = networks.load_first(path, parts=of.known_parts)
    image = torch.rand(1, 1, 32, 40)
    again = networks.restore(of.training.architecture("dilated"), trained.weights)
    assert torch.equal(found(image), again(image))
    assert found(image).shape == image.shape


def test_the_example_of_an_architecture_is_counted(example):
    of = example("dilated", architectures=["dilated"])
    found = of.training.architecture("dilated")
    assert network_sizes.weights(found) == 9 * 8 + 4 * 9 * 64 + 5 * 16 + 8 + 1
    # A training step keeps the results of 5 convolutions and 5 normalisations of 8 channels.
    assert 4 * 80 <= network_sizes.bytes_per_pixel(found) <= 8 * 80
    assert memory.train_mb(of, "dilated") >= memory.LEAST


@pytest.mark.slow
@pytest.mark.parametrize("head", ["blobs", "votes"])
@pytest.mark.parametrize("keys", [{}, {"crop_px": 16}])
def test_a_head_is_learned_beside_the_mask(example, fit, head, keys):
    """Its loss is in that of training and of validation, with one network and with several."""
    name = f"compact-w4-d2+{head}"
    of = example("blobs", architectures=[name], epochs=12, **keys)
    network_trial.check(of)
    (trained,) = fit(of, name).values()
    assert trained.history[-1].train_loss < trained.history[0].train_loss
    losses = [record.val_loss for record in trained.history]
    plain = fit(of, "compact-w4-d2")[0].history
    assert losses[0] > plain[0].val_loss
    both = fit(of, name, seeds=2, together=True)
    # Later steps differ more, since Adam divides rounding errors by the size of the gradient.
    assert both[0].history[0].val_loss == pytest.approx(losses[0], rel=0.01)


@pytest.mark.parametrize("trusted", [True, False])
def test_an_own_head_finds_the_particles_of_images_only_if_it_may_run(study, tmp_path, trusted):
    of = study({"blobs": (EXAMPLES / "blobs.py").read_text()}, trusted=trusted)
    name = "compact-w4-d2+blobs"
    (shipped,) = open_networks("general-2026")
    network = replace(
        shipped,
        module=networks.build(parse(name, of.known_parts)).eval(),
        metadata=replace(shipped.metadata, architecture=name),
        parts=of.known_parts,
    )
    image = np.random.default_rng(0).poisson(30, (64, 64)).astype(np.float32)
    if trusted:
        assert segment(image, 0.5, [network], Settings(particles="head")).head == "blobs"
        return
    with pytest.raises(PartError, match=r"head 'blobs' of parts/blobs.py.*--trust-parts"):
        segment(image, 0.5, [network], Settings(particles="head"))
    assert segment(image, 0.5, [network]).head == ""


# What a loss is given


@pytest.mark.slow
@pytest.mark.parametrize("keys", [{}, {"crop_px": 16}, {"augment": False}])
@pytest.mark.parametrize("hold", [True, False])
def test_a_loss_of_instances_is_given_the_particles_of_the_mask(study, fit, keys, hold):
    """Also of images that are turned, flipped or cut, in training and in validation."""
    text = (
        "seen = []\n\n"
        "@loss(targets=('instances', 'mask'))\n"
        "def mine(logits, instances, mask, settings):\n"
        "    assert instances.dtype == torch.uint8 and logits.dtype == torch.float32\n"
        "    assert torch.equal(instances.any(3, keepdim=True) > 0, mask > 0)\n"
        "    seen.append(tuple(instances.shape))\n"
        "    return (logits - mask).square().mean((1, 2, 3, 4))\n"
    )
    text = text.replace("instances.any(3, keepdim=True)", "instances.amax(2, keepdim=True)")
    of = study({"mine": text}, loss="mine", **keys)
    assert of.training.needs_instances("compact-w4-d2")
    network_trial.check(of)
    seen = of.training.loss_part.load().__globals__["seen"]
    seen.clear()
    fit(of, seeds=2, together=True, hold=hold)
    side = keys.get("crop_px", 32)
    assert set(seen) == {(2, 4, 2, side, side), (2, 2, 2, side, side), (2, 6, 2, 32, 32)}


@pytest.mark.slow
def test_a_loss_of_instances_is_given_those_of_turned_structures(study, camera, make_split):
    """With a lens that is not round, structures are turned before images are formed."""
    lens = replace(Condition(15, 1.2, 15, 1000), further={"astigmatism_nm": 12})
    images = Images(camera, make_split(3), lens, instances=True)
    _, masks, instances = images.take(np.arange(3)[None], 0, [0], np.array([1, 4, 6]))
    assert torch.equal(instances.amax(1, keepdim=True) > 0, masks > 0)
    assert {*instances.unique().tolist()} == {0, 1, 2}


@pytest.mark.slow
def test_vectorized_replicas_learn_an_own_loss_as_single_ones(study, fit, monkeypatch):
    def descent(settings, parameters):  # Adam would magnify rounding errors
        return torch.optim.SGD(parameters, lr=settings.learning_rate, momentum=0.9)

    monkeypatch.setattr(schedules, "optimizer", descent)
    text = LOSS.format(
        targets=("mask",),
        arguments="logits, mask",
        value="(logits - mask).square().mean((1,2,3,4))",
    )
    of = study({"mine": text}, loss="mine", schedule="constant")
    alone, both = (fit(of, seeds=2, together=together) for together in (False, True))
    for replica in (0, 1):
        for name, tensor in alone[replica].weights.items():
            torch.testing.assert_close(tensor, both[replica].weights[name], rtol=1e-3, atol=1e-4)


def test_compiled_functions_refuse_an_own_loss(study):
    text = LOSS.format(targets=("mask",), arguments="logits, mask", value="logits.mean((1,2,3,4))")
    of = study({"mine": text}, loss="mine", precision="auto").training
    assert not backend.compiles(of, "compact-w4-d2", CPU)
    line = "compact-w4-d2 by torch, since compiled functions do not know training.loss = 'mine'"
    assert backend.hindrance(of, "compact-w4-d2", CPU) == line
    assert backend.compiles(study({}, precision="auto").training, "compact-w4-d2", CPU)


def test_the_loss_is_given_every_output_and_the_first_is_validated(study, fit):
    value = "((logits[:, :, 1:] - 3)**2 + (logits[:, :, :1] - mask)**2).mean((1,2,3,4))"
    loss = LOSS.format(targets=("mask",), arguments="logits, mask", value=value)
    network = NETWORK.format(numbers="outputs=3", value=LAYERS.format(3))
    of = study({"mine": loss, "network": network}, loss="mine", architectures=["mine"])
    network_trial.check(of)
    (trained,) = fit(of, "mine").values()
    assert trained.weights["2.bias"].shape == (3,)


# Numbers


def test_a_network_is_counted_as_the_packages_own(study):
    """The counted numbers of a compact U-Net are those that its formula gives."""
    text = (
        "from passband.learning.architectures.compact import Compact\n\n"
        "@architecture(divisor=8, smallest_px=16)\n"
        "def mine():\n    return Compact(8, 3).build()\n"
    )
    of = study({"mine": text}, architectures=["mine"])
    found, known = of.training.architecture("mine"), parse("compact-w8-d3")
    assert network_sizes.weights(found) == network_sizes.weights(known)
    counted = network_sizes.bytes_per_pixel(found)
    assert counted == pytest.approx(network_sizes.bytes_per_pixel(known), rel=0.05)


def test_numbers_of_the_decorator_are_not_counted(study):
    text = NETWORK.format(numbers="weights=7, bytes_per_pixel=20", value="1 / 0")
    found = study({"mine": text}, architectures=["mine"]).training.architecture("mine")
    assert network_sizes.weights(found) == 7
    assert network_sizes.bytes_per_pixel(found) == 20


def test_a_network_that_needs_numbers_is_counted_on_the_cpu(study):
    text = (
        "class Net(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n"
        "        self.layer = nn.Conv2d(1, 1, 3, padding=1)\n\n"
        "    def forward(self, x):\n"
        "        return self.layer(x) * float(x.abs().max() + 1)\n\n"
        "@architecture()\ndef mine():\n    return Net()\n"
    )
    found = study({"mine": text}, architectures=["mine"]).training.architecture("mine")
    assert network_sizes.counted(found)[0] == 10
    assert 8 <= network_sizes.counted(found)[1] <= 100


def test_a_family_of_architectures_has_names_with_numbers(study):
    text = (
        "@architecture(name='plain-w<width>', example='plain-w4')\n"
        "class Plain:\n"
        "    divisor = 1\n"
        "    smallest_px = 8\n\n"
        "    def __init__(self, width):\n"
        "        if not isinstance(width, int):\n"
        "            raise ValueError(f'width = {width}: must be an integer')\n"
        "        self.width = width\n\n"
        "    def build(self):\n"
        "        return nn.Sequential(nn.Conv2d(1, self.width, 1), nn.Conv2d(self.width, 1, 1))\n"
    )
    of = study({"mine": text}, architectures=["plain-w4", "plain-w8"])
    network_trial.check(of)
    few, many = (of.training.architecture(f"plain-w{width}") for width in (4, 8))
    assert network_sizes.weights(few) == 4 + 4 + 4 + 1
    assert network_sizes.weights(many) == 8 + 8 + 8 + 1
    assert (few.divisor, few.smallest_px, few.outputs) == (1, 8, 1)
    with pytest.raises(PartError, match=r"parts/mine.py, line 5: ValueError: width = x: must be"):
        of.training.architecture("plain-wx")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("divisor = 0\n    smallest_px = 8", "divisor = 0: must be an integer, 1 or more"),
        ("divisor = 8", "smallest_px = None: must be an integer, 1 or more"),
        ("divisor = 1\n    smallest_px = 8", "has no method build, which makes the network"),
    ],
)
def test_a_family_without_its_numbers_is_named(study, body, said):
    text = (
        "@architecture(name='plain-w<width>')\nclass Plain:\n    def __init__(self, width): ...\n"
    )
    of = study({"mine": f"{text}\n    {body}\n"}, trusted=False, architectures=["plain-w4"])
    of.known_parts.trust()
    with pytest.raises(PartError, match=f"parts/mine.py, line 5: {said}$"):
        network_trial.check(of)


# What results depend on


def recipe(of) -> str:
    condition = of.train_ids[0]
    return Recipes(of).networks("gold", of.training.architectures[0], condition).digest


def test_only_the_code_that_is_used_trains_networks_again(study, tmp_path):
    text = LOSS.format(targets=("mask",), arguments="logits, mask", value="logits.mean((1,2,3,4))")
    network = NETWORK.format(numbers="", value=LAYERS.format(1))
    plain = recipe(study({}))
    package = recipe(study({"mine": text, "network": network}))
    assert package == plain, "parts that no key names"
    own = recipe(study(loss="mine"))
    assert own != plain
    built = recipe(study(architectures=["mine"]))
    (tmp_path / "parts/other.py").write_text(HEAD + "@metric('pair')\ndef other(pair): ...\n")
    assert recipe(study(loss="mine")) == own, "a metric is added"
    changed = study({"mine": text.replace("mean", "sum")}, loss="mine")
    assert recipe(changed) != own
    assert recipe(study({})) == plain
    assert recipe(study(architectures=["mine"])) == built
    assert recipe(study({"network": network.replace("4", "5")}, architectures=["mine"])) != built


def test_a_recipe_says_which_code_has_changed(study):
    text = LOSS.format(targets=("mask",), arguments="logits, mask", value="logits.mean((1,2,3,4))")
    before = Recipes(study({"mine": text}, loss="mine")).training
    now = Recipes(study({"mine": text + "\n"}, loss="mine")).training
    assert before.differs(now) == ["the content of training.loss has changed"]


# Trust


def test_weights_of_an_own_architecture_name_the_part_that_is_missing(study, tmp_path):
    text = NETWORK.format(numbers="", value=LAYERS.format(1))
    mark = f"from pathlib import Path\nPath({str(tmp_path / 'mark')!r}).touch()\n\n"
    of = study({"mine": mark + text}, architectures=["mine"])
    state = networks.build(of.training.architecture("mine")).state_dict()
    (tmp_path / "mark").unlink()
    path = tmp_path / "net.safetensors"
    files.save({0: state}, path, weights_metadata(architecture="mine"))
    line = f"{path}: architecture 'mine': is a part of the study, and is missing here"
    for opened in (open_networks, networks.load_first):
        with pytest.raises(PartError, match=f"^{line}$"):
            opened(path)
    assert parse("mine", STORED).part.is_own
    networks.load(path, parts=of.known_parts)
    untrusted = study({"mine": mark + text}, trusted=False, architectures=["mine"])
    (tmp_path / "mark").unlink(missing_ok=True)
    with pytest.raises(PartError, match=f"^{path}: architecture 'mine' of parts/mine.py.*--trust"):
        networks.load(path, parts=untrusted.known_parts)
    assert not (tmp_path / "mark").exists()


def test_an_identity_of_a_network_has_the_code_of_its_architecture(study):
    """A change of the code that leaves the weights as they are changes results."""
    text = NETWORK.format(numbers="", value=LAYERS.format(1))
    of = study({"mine": text}, architectures=["mine"])
    state = networks.build(of.training.architecture("mine"))
    identities = set()
    for comment in ("", "# changed\n"):
        of = study({"mine": text + comment}, architectures=["mine"])
        code = of.training.architecture("mine").code
        metadata = weights_metadata(architecture="mine", code=code)
        assert files.WeightsMetadata.from_values(metadata.to_values()) == metadata
        identities.add(files.CellWeights({0: state.state_dict()}, metadata).identities[0])
    assert len(identities) == 2
    assert "code" not in weights_metadata().to_values()


def test_a_network_without_an_encoder_has_the_features_of_its_last_layer(example):
    network = networks.build(example("dilated").training.architecture("dilated")).eval()
    image = torch.rand(2, 1, 16, 16)
    (features,) = networks.encoded(network, image)
    assert torch.equal(network[-1](features), network(image))
    assert features.shape == (2, 8, 16, 16)
    own = networks.build("compact-w2-d2").eval()
    assert [each.shape for each in networks.encoded(own, image)] == [
        each.shape for each in own.encoder(image)
    ]


@pytest.mark.slow
def test_an_own_network_is_published_and_opened_only_where_its_code_is_trusted(
    example, tmp_path, monkeypatch
):
    from passband.sharing import publication
    from passband.sharing.attribution import Labels

    try:
        extras.check(extras.SHARE, "this test")
    except PassbandError as error:
        pytest.skip(str(error))
    onnx_file.leave_out(monkeypatch)
    of = example("dilated", architectures=["dilated"])
    module = networks.build(of.training.architecture("dilated"), seed=3).eval()
    condition = of.train_conditions[0]
    metadata = weights_metadata(
        architecture="dilated",
        condition=condition.id,
        provenance={"configuration": json.dumps(of.written())},
    )
    path = tmp_path / "net.safetensors"
    made = Network(module, 0, metadata, of.microscope, condition, path, of.known_parts)
    folder = tmp_path / "published"
    publication.publish(made, None, folder, Labels("Dilated", "MIT", ("A. Author",)))
    assert (folder / "parts/dilated.py").read_bytes() == (EXAMPLES / "dilated.py").read_bytes()

    why = r"architecture 'dilated' of parts/dilated.py, line \d+: .*--trust-parts runs it$"
    for noun in (folder, folder / "weights.safetensors"):
        with pytest.raises(PartError, match=why):
            open_networks(noun)
    with pytest.raises(PartError, match=why):
        list(passband.open(folder).networks)
    (found,) = passband.open(folder, trust_parts=True).networks.values()
    image = torch.rand(1, 1, 32, 48)
    assert torch.equal(found.load()(image), module(image))
    (folder / "parts/other.py").touch()
    with pytest.raises(PassbandError, match=r"parts/other.py has no digest in"):
        open_networks(folder)
