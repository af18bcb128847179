"""What is wrong with a study's own losses and architectures, found before any job."""

import shutil
from pathlib import Path

import pytest
from parts_text import LAYERS, LOSS, NETWORK

from passband.learning import network_trial
from passband.parts import PartError

EXAMPLES = Path(__file__).parents[2] / "examples/parts"

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
        network_trial.check(study({"mine": text}, loss="mine"))
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
        network_trial.check(study({"mine": text}, architectures=["mine"]))
    assert str(caught.value).startswith(f"architecture 'mine' of parts/mine.py, line 12: {said}")
    assert "\n" not in str(caught.value)


def test_a_network_that_needs_larger_images_is_told_which_argument_says_so(study):
    value = "nn.Conv2d(1, 1, 9, padding=4, padding_mode='reflect')"
    text = NETWORK.format(numbers="", value=value)
    allow = "for images of 1 × 1 pixels, which smallest_px = 1 and divisor = 1 allow"
    with pytest.raises(PartError, match=f"line 5: RuntimeError: .*Padding size .*; {allow}$"):
        network_trial.check(study({"mine": text}, architectures=["mine"]))
    text = NETWORK.format(numbers="smallest_px=8", value=value)
    network_trial.check(study({"mine": text}, architectures=["mine"]))


def test_a_part_that_raises_at_its_import_is_named(study):
    text = LOSS.format(targets=("mask",), arguments="logits, mask", value="0")
    of = study({"mine": f"raise OSError('no')\n\n{text}"}, loss="mine")
    with pytest.raises(PartError, match=r"^loss 'mine' of parts/mine.py, line .*OSError: no$"):
        network_trial.check(of)


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


# Heads

HEAD_TEXT = """from dataclasses import replace

from passband.learning.heads.votes import votes as package
from passband.parts import head


@head(outputs=3)
class mine:
    def loss(self, further, instances):
        {loss}

    def decode(self, logits, pixel_nm):
        found = package().decode(logits, pixel_nm)
        {decode}
"""
RIGHT = {"loss": "return package().loss(further, instances)", "decode": "return found"}
WRONG_HEADS = {
    "returns float32 of shape (); must return a float for each network": {
        "loss": "return further.mean()"
    },
    "has no gradient; it must follow from the logits": {
        "loss": "return package().loss(further.detach(), instances)"
    },
    "mixes networks; the loss of each must follow from its own": {
        "loss": "return package().loss(further, instances) + further.mean()"
    },
    "loss returns [nan, nan] for images without particles": {
        "loss": "return further.square().mean((1, 2, 3, 4)) * "
        "instances.sum((1, 2, 3, 4)) / instances.sum((1, 2, 3, 4))"
    },
    "ZeroDivisionError: division by zero": {"decode": "return 1 / 0"},
    "decode returns ndarray; must return a Found": {"decode": "return found.labels"},
    "decode returns labels (16, 32) of int64; must be int32 of shape (16, 32)": {
        "decode": "return replace(found, labels=found.labels.astype('int64'))"
    },
    "decode returns labels [2] …; must be 1, 2 and so on": {
        "decode": "return replace(found, labels=2 * (logits[0] > 0).astype('int32'))"
    },
    "decode returns certainty of shape (); must be a finite number for each of": {
        "decode": "return replace(found, certainty=1.0)"
    },
}


@pytest.mark.parametrize("said", WRONG_HEADS)
def test_a_wrong_head_is_found_before_any_job(study, said):
    text = HEAD_TEXT.format(**RIGHT | WRONG_HEADS[said])
    of = study({"mine": text}, architectures=["compact-w4-d2+mine"])
    with pytest.raises(PartError) as caught:
        network_trial.check(of)
    assert str(caught.value).startswith("head 'mine' of parts/mine.py, line ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_right_head_is_tried_in_silence(study):
    of = study({"mine": HEAD_TEXT.format(**RIGHT)}, architectures=["compact-w4-d2+mine"])
    network_trial.check(of)
    assert of.training.has_own_parts
    assert of.training.needs_instances("compact-w4-d2+mine")
    assert of.training.architecture("compact-w4-d2+mine").code


def test_a_network_that_lacks_the_outputs_of_a_head_is_refused_in_one_line(study):
    text = NETWORK.format(numbers="outputs=2", value=LAYERS.format(2))
    why = (
        r"architectures\[0\] = 'mine\+votes': mine has 2 outputs, and with the head votes a network"
    )
    with pytest.raises(Exception, match=f"{why} must have 4"):
        study({"mine": text}, architectures=["mine+votes"])


def test_a_head_without_a_decoder_is_named(study):
    text = HEAD_TEXT.format(**RIGHT).replace("def decode", "def decoded")
    of = study({"mine": text}, architectures=["compact-w4-d2+mine"])
    with pytest.raises(PartError, match=r"^head 'mine' of parts/mine.py, .*: has no method decode"):
        network_trial.check(of)


def test_the_example_of_a_head_is_right(study, tmp_path):
    (tmp_path / "parts").mkdir()
    shutil.copy(EXAMPLES / "blobs.py", tmp_path / "parts")
    network_trial.check(study(architectures=["compact-w4-d2+blobs"]))
