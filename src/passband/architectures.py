"""Network architectures by name: plain data, so that a configuration can be checked without torch.

``compact-w8-d3`` is Passband's own U-Net, 8 channels wide at full resolution and 3 levels deep.
``unet-resnet18`` is a decoder and an encoder of segmentation_models_pytorch, never pretrained.
"""

import re
from dataclasses import dataclass

DECODERS = (
    "deeplabv3", "deeplabv3plus", "fpn", "linknet", "manet", "pan", "pspnet", "segformer", "unet",
    "unetplusplus", "upernet",
)  # fmt: skip

ENCODERS = (
    "densenet121", "densenet161", "densenet169", "densenet201",
    "efficientnet-b0", "efficientnet-b1", "efficientnet-b2", "efficientnet-b3", "efficientnet-b4",
    "efficientnet-b5", "efficientnet-b6", "efficientnet-b7",
    "mit_b0", "mit_b1", "mit_b2", "mit_b3", "mit_b4", "mit_b5",
    "mobilenet_v2", "mobileone_s0", "mobileone_s1", "mobileone_s2", "mobileone_s3", "mobileone_s4",
    "resnet18", "resnet34", "resnet50", "resnet101", "resnet152",
    "resnext50_32x4d", "resnext101_32x8d",
    "se_resnet50", "se_resnet101", "se_resnet152", "se_resnext50_32x4d", "se_resnext101_32x4d",
    "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn",
    "xception",
)  # fmt: skip

# What segmentation_models_pytorch refuses to build: decoders that dilate their encoder on encoders
# that cannot be dilated, and decoders that want a first stage that vision transformers lack.
_UNFIT = (
    (("deeplabv3", "deeplabv3plus", "pan"), ("densenet", "vgg", "xception")),
    (("linknet", "unetplusplus"), ("mit_",)),
)

ALLOWED = (
    "compact-w<width>-d<depth> such as compact-w8-d3, or <decoder>-<encoder> such as "
    f"unet-resnet18 with decoders {', '.join(DECODERS)} and encoders {', '.join(ENCODERS)}"
)


@dataclass(frozen=True)
class Compact:
    """Passband's own U-Net: channels at full resolution, and number of halvings."""

    width: int
    depth: int

    @property
    def divisor(self) -> int:
        """The side of an image must be a multiple of this."""
        return 2**self.depth

    @property
    def smallest_px(self) -> int:
        """The smallest side: less leaves a single pixel, which batch normalisation cannot take."""
        return 2 * self.divisor


@dataclass(frozen=True)
class Pair:
    """A decoder and an encoder of segmentation_models_pytorch."""

    decoder: str
    encoder: str

    @property
    def divisor(self) -> int:
        """The side of an image must be a multiple of this."""
        return 32

    @property
    def smallest_px(self) -> int:
        """The smallest side: less leaves a single pixel, which batch normalisation cannot take."""
        return 128 if self.decoder == "pan" else 64


def parse(name: str) -> Compact | Pair:
    """Return the architecture that a name stands for.

    Raises
    ------
    ValueError
        If the name stands for none; the message says what is allowed.
    """
    if match := re.fullmatch(r"compact-w([1-9]\d{0,3})-d([1-8])", name):
        return Compact(int(match[1]), int(match[2]))
    decoder, _, encoder = name.partition("-")
    if decoder in DECODERS and encoder in ENCODERS:
        if any(decoder in ds and encoder.startswith(es) for ds, es in _UNFIT):
            raise ValueError(
                f"{decoder} cannot be built on {encoder}; take another encoder, such as resnet18"
            )
        return Pair(decoder, encoder)
    raise ValueError(f"unknown architecture; allowed: {ALLOWED}")
