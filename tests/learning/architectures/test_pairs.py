"""Pairs of a decoder and an encoder of segmentation_models_pytorch."""

import tomllib
from pathlib import Path

import pytest
import torch

from passband.config.architectures import parse
from passband.learning import networks
from passband.learning.architectures.pairs import DECODERS, ENCODERS, ENCODERS_FILE

ROOT = Path(__file__).parents[3]

REFUSED = {
    f"{decoder}-{encoder}"
    for decoders, encoders in (
        (("deeplabv3", "deeplabv3plus", "pan"), ("densenet121", "vgg11", "xception")),
        (("linknet", "unetplusplus"), ("mit_b0",)),
    )
    for decoder in decoders
    for encoder in encoders
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_cannot_be_built_is_refused(name):
    with pytest.raises(ValueError, match="cannot be built"):
        parse(name)


@pytest.mark.slow
@pytest.mark.parametrize(
    "encoder",
    # One of each family that differs in how it can be built, the smallest.
    [
        *("densenet121", "efficientnet-b0", "mit_b0", "mobileone_s0", "resnet18", "xception"),
        pytest.param("vgg11", marks=pytest.mark.long),
    ],
)
def test_what_is_accepted_can_be_trained_and_what_is_refused_cannot_be_built(encoder):
    smp = pytest.importorskip("segmentation_models_pytorch")
    for decoder in DECODERS:
        name = f"{decoder}-{encoder}"
        if name in REFUSED:
            with pytest.raises((ValueError, NotImplementedError)):
                smp.create_model(decoder, encoder, encoder_weights=None, in_channels=1, classes=1)
        else:
            images = torch.zeros(2, 1, *2 * [parse(name).smallest_px])
            assert networks.build(name).train()(images).shape == images.shape


@pytest.mark.slow
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
    packed = declared["package-data"]["passband.learning.architectures"]
    assert "*.csv" in packed  # or a wheel would lack it
