"""Architectures of networks by name."""

import pytest

from passband.config.architectures import parse
from passband.learning.architectures.compact import Compact
from passband.learning.architectures.pairs import DECODERS, ENCODERS, Pair
from passband.parts import STORED, PartError


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
    allowed = "compact-w<width>-d<depth> such as compact-w8-d3, "
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
        ("compact-in-w8-d3", "gone since 0.4.0: use compact-w<width>-d<depth>"),
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


def test_a_head_follows_the_name_of_a_network():
    found = parse("compact-w8-d3+votes")
    assert found.name == "compact-w8-d3+votes"
    assert found.described == Compact(width=8, depth=3, outputs=4)
    assert found.outputs == 4
    assert found.head.name == "votes"
    assert found != parse("compact-w8-d3")
    assert parse("compact-w8-d3").head is None


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("compact-w8-d3+vote", "'vote': there is no head of this name; did you mean votes\\?"),
        ("compact-w8-d3+", "'': there is no head of this name; allowed: votes"),
        ("compact-w8-d3+votes+votes", "'votes\\+votes': there is no head of this name"),
        ("compact-w0-d3+votes", "width = 0: must be an integer between 1 and 9,999"),
        ("unet-resnet17+votes", "unknown architecture, as there is no encoder 'resnet17'; enc"),
        ("compakt+votes", "unknown architecture; allowed: compact-w<width>-d<depth> such as"),
    ],
)
def test_a_head_that_a_network_cannot_have_is_refused_in_one_line(name, why):
    with pytest.raises((ValueError, PartError), match=f"^{why}") as error:
        parse(name)
    assert "\n" not in str(error.value)


def test_nothing_is_known_of_a_network_whose_head_is_missing():
    """In a stored configuration, a head that is not here is a part that is missing."""
    for name in ("compact-w8-d3+mine", "own+votes"):
        found = parse(name, STORED)
        assert found.name == name
        assert not found.is_known
    with pytest.raises(PartError, match="head 'mine': is a part of the study, and is missing"):
        _ = parse("compact-w8-d3+mine", STORED).outputs
