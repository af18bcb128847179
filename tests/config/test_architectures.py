"""Architectures of networks by name."""

import pytest

from passband.config.architectures import parse
from passband.learning.architectures.compact import Compact
from passband.learning.architectures.pairs import DECODERS, ENCODERS, Pair


def test_compact():
    assert parse("compact-w8-d3").described == Compact(width=8, depth=3)
    assert parse("compact-w8-d3").divisor == 8


@pytest.mark.parametrize("encoder", ["resnet18", "efficientnet-b0", "resnext50_32x4d"])
def test_pair(encoder):
    assert parse(f"unet-{encoder}").described == Pair("unet", encoder)
    assert parse(f"unet-{encoder}").divisor == 32


def test_every_pair_has_a_separate_name():
    for encoder in ENCODERS:
        assert parse(f"unet-{encoder}").described == Pair("unet", encoder)
    for decoder in DECODERS:
        assert parse(f"{decoder}-resnet18").described == Pair(decoder, "resnet18")


@pytest.mark.parametrize(
    "name",
    ["", "unet", "unet-", "-resnet18", "unet_resnet18", "unet-resnet18 ", "compact", "a/b-c"],
)
def test_other_names_are_refused_saying_what_is_allowed(name):
    allowed = "compact-w<width>-d<depth> such as compact-w8-d3, <decoder>-<encoder> such as unet-"
    with pytest.raises(ValueError, match=f"^unknown architecture; allowed: {allowed}"):
        parse(name)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("unet-resnet17", "unknown architecture, as there is no encoder 'resnet17'; encoders are "),
        ("vnet-resnet18", "unknown architecture, as there is no decoder 'vnet'; decoders are "),
        ("Unet-resnet18", "unknown architecture, as there is no decoder 'Unet'; decoders are "),
        ("compact-resnet18", "unknown architecture, as there is no decoder 'compact'; decoders "),
        ("compact-w0-d3", "width = 0: must be an integer between 1 and 9,999"),
        ("compact-w08-d3", "width = 08: must be an integer between 1 and 9,999"),
        ("compact-w8-d0", "depth = 0: must be an integer between 1 and 8"),
        ("compact-w8-d9", "depth = 9: must be an integer between 1 and 8"),
        ("compact-wide-d3", "width = ide: must be an integer between 1 and 9,999"),
        ("compact-w8-d3\n", "unknown architecture; allowed"),
    ],
)
def test_a_family_says_why_it_has_no_such_architecture(name, why):
    with pytest.raises(ValueError, match=f"^{why}"):
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
    why = f"^{what} timm's encoders, which are not offered: .*version; encoders are dense"
    with pytest.raises(ValueError, match=why):
        parse(name)
