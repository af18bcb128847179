"""Architectures of networks by name."""

import tomllib
from pathlib import Path

import pytest
import torch

from passband.config.architectures import DECODERS, ENCODERS, ENCODERS_FILE, Compact, Pair, parse
from passband.learning import networks

ROOT = Path(__file__).parents[2]


def test_compact():
    assert parse("compact-w8-d3") == Compact(width=8, depth=3)
    assert parse("compact-w8-d3").divisor == 8


@pytest.mark.parametrize("encoder", ["resnet18", "efficientnet-b0", "resnext50_32x4d"])
def test_pair(encoder):
    assert parse(f"unet-{encoder}") == Pair("unet", encoder)
    assert parse(f"unet-{encoder}").divisor == 32


def test_every_pair_has_a_separate_name():
    for encoder in ENCODERS:
        assert parse(f"unet-{encoder}") == Pair("unet", encoder)
    for decoder in DECODERS:
        assert parse(f"{decoder}-resnet18") == Pair(decoder, "resnet18")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "unet",
        "unet-",
        "-resnet18",
        "unet-resnet17",
        "Unet-resnet18",
        "vnet-resnet18",
        "unet_resnet18",
        "unet-resnet18 ",
        "compact",
        "compact-w0-d3",
        "compact-w8-d0",
        "compact-w8-d9",
        "compact-w08-d3",
        "compact-w8-d3\n",
        "compact-resnet18",
    ],
)
def test_other_names_are_refused_saying_what_is_allowed(name):
    with pytest.raises(ValueError, match=r"^unknown architecture; allowed: compact-w<width>"):
        parse(name)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("dpt-tu-vit_base_patch16_224.augreg_in21k", "dpt is built on"),
        ("dpt-resnet18", "dpt is built on"),
        ("unet-tu-convnext_tiny", "tu-convnext_tiny is one of"),
        ("fpn-timm-regnetx_002", "timm-regnetx_002 is one of"),
    ],
)
def test_encoders_of_timm_are_refused_saying_why(name, what):
    why = f"^{what} timm's encoders, which are not offered: .*version; allowed: compact-w<width>"
    with pytest.raises(ValueError, match=why):
        parse(name)


REFUSED = {
    f"{decoder}-{encoder}"
    for decoders, encoders in (
        (("deeplabv3", "deeplabv3plus", "pan"), ("densenet121", "vgg11", "xception")),
        (("linknet", "unetplusplus"), ("mit_b0",)),
    )
    for decoder in decoders
    for encoder in encoders
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "encoder",
    # One of each family that differs in how it can be built, the smallest.
    ["densenet121", "efficientnet-b0", "mit_b0", "mobileone_s0", "resnet18", "vgg11", "xception"],
)
def test_what_is_accepted_can_be_trained_and_what_is_refused_cannot_be_built(encoder):
    smp = pytest.importorskip("segmentation_models_pytorch")
    for decoder in DECODERS:
        name = f"{decoder}-{encoder}"
        if name in REFUSED:
            with pytest.raises(ValueError, match="cannot be built"):
                parse(name)
            with pytest.raises((ValueError, NotImplementedError)):
                smp.create_model(decoder, encoder, encoder_weights=None, in_channels=1, classes=1)
        else:
            images = torch.zeros(2, 1, *2 * [parse(name).smallest_px])
            assert networks.build(name).train()(images).shape == images.shape


def test_segmentation_models_pytorch_knows_them_all():
    smp = pytest.importorskip("segmentation_models_pytorch")
    assert set(DECODERS) <= set(smp.MODEL_ARCHITECTURES_MAPPING)
    assert set(ENCODERS) <= set(smp.encoders.encoders)


def test_encoders_come_from_a_table_in_the_package():
    assert len(ENCODERS) == 45
    assert ENCODERS["resnet18"] == (14.3, 1560.0)
    assert all(weights > 0 and size > 0 for weights, size in ENCODERS.values())
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert ENCODERS_FILE.name == "encoders.csv"
    assert "*.csv" in declared["package-data"]["passband.config"]  # or a wheel would lack it
