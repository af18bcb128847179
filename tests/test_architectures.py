"""Architectures by name."""

import pytest

from passband.architectures import DECODERS, ENCODERS, Compact, Pair, parse


def test_compact():
    assert parse("compact-w8-d3") == Compact(width=8, depth=3)
    assert parse("compact-w8-d3").divisor == 8


@pytest.mark.parametrize("encoder", ["resnet18", "efficientnet-b0", "resnext50_32x4d"])
def test_pair(encoder):
    assert parse(f"unet-{encoder}") == Pair("unet", encoder)
    assert parse(f"unet-{encoder}").divisor == 32


def test_every_pair_has_a_name_of_its_own():
    pairs = {
        parse(f"{decoder}-{encoder}"): (decoder, encoder)
        for decoder in DECODERS
        for encoder in ENCODERS
    }
    assert len(pairs) == len(DECODERS) * len(ENCODERS)
    assert all((pair.decoder, pair.encoder) == names for pair, names in pairs.items())


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


def test_segmentation_models_pytorch_knows_them_all():
    smp = pytest.importorskip("segmentation_models_pytorch")
    assert set(DECODERS) <= set(smp.MODEL_ARCHITECTURES_MAPPING)
    assert set(ENCODERS) <= set(smp.encoders.encoders)
