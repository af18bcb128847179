"""Losses and architectures that a study brings, in files of its folder ``parts``."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from synthetic import CPU, weights_metadata

import passband
from passband import PassbandError
from passband.config import validate
from passband.config.architectures import parse
from passband.grid import Condition
from passband.learning import backend, memory, network_sizes, networks, trial
from passband.learning.batches import Images
from passband.learning.network_files import Network, open_networks
from passband.learning.training import train as fit_networks
from passband.parts import STORED, PartError
from passband.storage import weights as files
from passband.store.recipe import Recipes

EXAMPLES = Path(__file__).parents[2] / "examples/parts"

HEAD = (
    "import torch\nfrom torch import nn\nfrom passband.parts import architecture, loss, metric\n\n"
)
LOSS = "@loss(targets={targets})\ndef mine({arguments}, settings):\n    return {value}\n"
NETWORK = "@architecture({numbers})\ndef mine():\n    return {value}\n"
#: A network of two layers, as text.
LAYERS = "nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, {}, 1))"


@pytest.fixture
def study(tmp_path):
    """Return a function that makes a study with files of parts, whose code runs."""

    def make(parts=(), trusted=True, **keys):
        folder = tmp_path / "parts"
        folder.mkdir(exist_ok=True)
        for name, text in dict(parts).items():
            (folder / f"{name}.py").write_text(HEAD + text)
        training = {"precision": "float32", "batch_size": 4, "epochs": 1, **keys}
        made = validate({"training": training}, str(tmp_path / "config.yaml"))
        if trusted:
            made.known_parts.trust()
        return made

    return make


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
    trial.check(of)
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
    trial.check(of)
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
    assert of.training.needs_instances
    trial.check(of)
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
def test_vectorized_replicas_learn_an_own_loss_as_single_ones(study, fit):
    text = LOSS.format(
        targets=("mask",),
        arguments="logits, mask",
        value="(logits - mask).square().mean((1,2,3,4))",
    )
    of = study({"mine": text}, loss="mine", optimizer="sgd")
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
    trial.check(of)
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
    trial.check(of)
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
        trial.check(of)


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


# Mistakes

WRONG_LOSSES = {
    "returns int; must return a tensor": "1",
    "returns float32 of shape (); must return a float for each network, of shape (2,)": (
        "logits.mean()"
    ),
    "returns int64 of shape (2,); must return": "logits.mean((1, 2, 3, 4)).long()",
    "RuntimeError: The size of tensor a (16) must match the size of tensor b (3)": (
        "(logits - torch.zeros(3)).mean((1, 2, 3, 4))"
    ),
    "returns [nan, nan]; must be finite numbers": "logits.mean((1, 2, 3, 4)) * float('nan')",
    "has no gradient; it must follow from the logits": "logits.detach().mean((1, 2, 3, 4))",
    "mixes networks; the loss of each must follow from its own logits": (
        "logits.mean((1, 2, 3, 4)) - logits.mean()"
    ),
}


@pytest.mark.parametrize("said", WRONG_LOSSES)
def test_a_wrong_loss_is_found_before_any_job(study, said):
    value = WRONG_LOSSES[said]
    text = LOSS.format(targets=("mask",), arguments="logits, mask", value=value)
    with pytest.raises(PartError) as caught:
        trial.check(study({"mine": text}, loss="mine"))
    assert str(caught.value).startswith(f"loss 'mine' of parts/mine.py, line 5: {said}")
    assert "\n" not in str(caught.value)


WRONG_NETWORKS = {
    "makes int; must make nn.Module": "1",
    "makes type; must make nn.Module": "nn.Conv2d",
    "returns (2, 2, 16, 16) for images (2, 1, 16, 16); must return (2, 1, 16, 16)": (
        LAYERS.format(2)
    ),
    "returns (2, 1, 14, 14) for images (2, 1, 16, 16); must return": "nn.Conv2d(1, 1, 3)",
    "returns (2, 1, 8, 8) for": "nn.Conv2d(1, 1, 2, stride=2)",
    "has no weights to train": "nn.Identity()",
    "returns tuple; must return a tensor of logits": "Two()",
    "RuntimeError: Given groups=1, weight of size [1, 3, 1, 1]": "nn.Conv2d(3, 1, 1)",
    "ZeroDivisionError: division by zero": "1 / 0",
}


@pytest.mark.parametrize("said", WRONG_NETWORKS)
def test_a_wrong_architecture_is_found_before_any_job(study, said):
    two = "class Two(nn.Conv2d):\n"
    two += "    def __init__(self):\n        super().__init__(1, 1, 1)\n\n"
    two += "    def forward(self, x):\n        return x, x\n\n"
    value = WRONG_NETWORKS[said]
    text = two + NETWORK.format(numbers="smallest_px=16", value=value)
    with pytest.raises(PartError) as caught:
        trial.check(study({"mine": text}, architectures=["mine"]))
    assert str(caught.value).startswith(f"architecture 'mine' of parts/mine.py, line 12: {said}")
    assert "\n" not in str(caught.value)


def test_a_network_that_needs_larger_images_is_told_which_argument_says_so(study):
    value = "nn.Conv2d(1, 1, 9, padding=4, padding_mode='reflect')"
    text = NETWORK.format(numbers="", value=value)
    allow = "for images of 1 × 1 pixels, which smallest_px = 1 and divisor = 1 allow"
    with pytest.raises(PartError, match=f"line 5: RuntimeError: .*Padding size .*; {allow}$"):
        trial.check(study({"mine": text}, architectures=["mine"]))
    text = NETWORK.format(numbers="smallest_px=8", value=value)
    trial.check(study({"mine": text}, architectures=["mine"]))


def test_a_part_that_raises_at_its_import_is_named(study):
    text = LOSS.format(targets=("mask",), arguments="logits, mask", value="0")
    of = study({"mine": f"raise OSError('no')\n\n{text}"}, loss="mine")
    with pytest.raises(PartError, match=r"^loss 'mine' of parts/mine.py, line .*OSError: no$"):
        trial.check(of)


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        (
            "@loss(targets=('masks',))\ndef mine(logits, mask, settings): ...",
            "targets = .* must be",
        ),
        ("@loss()\ndef mine(logits, settings): ...", "takes logits and settings; must take logits"),
        ("@architecture(divisor=0)\ndef mine(): ...", "divisor = 0: must be 1 or more"),
        ("@architecture()\ndef mine(width): ...", "takes width; must take nothing"),
        ("@architecture(name='../mine')\ndef mine(): ...", "name = '../mine': must be 1 to"),
    ],
)
def test_a_wrong_declaration_is_found_without_running_it(study, declared, said):
    with pytest.raises(Exception, match=f"parts/mine.py, line 5: .*{said}"):
        study({"mine": declared + "\n"}, trusted=False)


def test_an_unknown_name_is_a_mistake_that_lists_those_there_are(study):
    text = LOSS.format(targets=("mask",), arguments="logits, mask", value="0")
    network = NETWORK.format(numbers="", value="0")
    with pytest.raises(Exception, match=r"training.loss = 'mime': .*did you mean mine\?.*entropy"):
        study({"mine": text, "network": network}, loss="mime")
    why = r"architectures\[0\] = 'mime': did you mean mine\? unknown architecture; .*, mine$"
    with pytest.raises(Exception, match=why):
        study(architectures=["mime"])


def test_a_name_that_a_family_of_the_package_has_is_refused(study):
    text = "@architecture(name='compact-w4-d2')\ndef mine(): ...\n"
    why = "architecture 'compact-w4-d2' of parts/mine.py, line 5: compact-w<width>-d<depth> is a"
    with pytest.raises(Exception, match=why):
        study({"mine": text}, architectures=["compact-w4-d2"])


def test_images_must_fit_an_own_architecture(study):
    text = NETWORK.format(numbers="divisor=5", value="0")
    with pytest.raises(Exception, match=r"microscope.field_px = \d+: must be a multiple of 5"):
        study({"mine": text}, architectures=["mine"])


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
    changed = mark + text + "# changed\n"
    untrusted = study({"mine": changed}, trusted=False, architectures=["mine"])
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
        identities.add(files.Part({0: state.state_dict()}, metadata).identities[0])
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
def test_an_own_network_is_published_and_opened_only_where_its_code_is_trusted(example, tmp_path):
    from passband.sharing import extras, publication
    from passband.sharing.labels import Labels

    try:
        extras.check()
    except PassbandError as error:
        pytest.skip(str(error))
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
    assert (folder / "model.onnx").is_file()

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
