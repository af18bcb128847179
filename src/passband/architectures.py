"""Network architectures by name: plain data, so that a configuration can be checked without torch.

``compact-w8-d3`` is Passband's own U-Net, 8 channels wide at full resolution and 3 levels deep.
``unet-resnet18`` is a decoder and an encoder of segmentation_models_pytorch, never pretrained.
"""

import re
from dataclasses import dataclass

#: Decoders, and what they take of memory over what unet does on the same encoder: a factor of its
#: weights, and of its bytes a pixel; bytes a pixel to add. Rounded, see :class:`Pair`.
DECODERS = {
    "deeplabv3": (1.2, 1.3, 0), "deeplabv3plus": (1, 1.1, 0), "fpn": (1, 1.1, 0),
    "linknet": (1, 1.25, 0), "manet": (3, 1.1, 0), "pan": (1, 0.5, 0), "pspnet": (1, 0.5, 0),
    "segformer": (1, 1, 2000), "unet": (1, 1, 0), "unetplusplus": (1.5, 2.4, 0),
    "upernet": (1.2, 1, 1500),
}  # fmt: skip

#: Encoders, and a unet's millions of weights and bytes a pixel on each, as
#: :func:`passband.memory.of_networks` counts them.
ENCODERS = {
    "densenet121": (13.6, 3650), "densenet161": (38.7, 6000), "densenet169": (21.2, 4200),
    "densenet201": (28.6, 5120), "efficientnet-b0": (6.3, 2790), "efficientnet-b1": (8.8, 3540),
    "efficientnet-b2": (10.0, 3680), "efficientnet-b3": (13.2, 4580),
    "efficientnet-b4": (20.2, 5790), "efficientnet-b5": (31.2, 7630),
    "efficientnet-b6": (43.8, 9530), "efficientnet-b7": (67.1, 12500), "mit_b0": (5.5, 1530),
    "mit_b1": (16.4, 2160), "mit_b2": (27.5, 3180), "mit_b3": (47.3, 4340),
    "mit_b4": (64.1, 5800), "mit_b5": (84.7, 6750), "mobilenet_v2": (6.6, 2470),
    "mobileone_s0": (8.6, 2500), "mobileone_s1": (9.1, 2280), "mobileone_s2": (13.6, 2550),
    "mobileone_s3": (16.2, 2870), "mobileone_s4": (21.5, 3570), "resnet18": (14.3, 1560),
    "resnet34": (24.4, 1560), "resnet50": (32.5, 2780), "resnet101": (51.5, 3600),
    "resnet152": (67.2, 4610), "resnext50_32x4d": (32.0, 3310), "resnext101_32x8d": (95.7, 5990),
    "se_resnet50": (35.0, 3150), "se_resnet101": (56.3, 4240), "se_resnet152": (73.8, 5600),
    "se_resnext50_32x4d": (34.5, 3760), "se_resnext101_32x4d": (55.9, 5120),
    "vgg11": (18.3, 3140), "vgg11_bn": (18.3, 3140), "vgg13": (18.4, 3140),
    "vgg13_bn": (18.4, 3440), "vgg16": (23.7, 3140), "vgg16_bn": (23.8, 3650),
    "vgg19": (29.1, 3140), "vgg19_bn": (29.1, 3860), "xception": (28.8, 3760),
}  # fmt: skip

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

    @property
    def weights(self) -> int:
        """Number of weights: two normalised 3 × 3 convolutions a block, and the head."""
        channels = [self.width * 2**level for level in range(self.depth + 1)]
        inputs = [1, *channels[:-1], *(c + 2 * c for c in channels[:-1])]
        outputs = [*channels, *channels[:-1]]
        blocks = zip(inputs, outputs, strict=True)
        return sum(9 * (i + o) * o + 4 * o for i, o in blocks) + self.width + 1

    @property
    def bytes_per_pixel(self) -> float:
        """Memory of a step, or of validation if that is more, per pixel of a batch, in float32.

        Validation predicts four times as many images, and holds 4½ times `width` numbers a pixel
        at the last join. For its gradients a step keeps what convolutions and normalisations make,
        four times the channels of each block, and what pooling makes, with its places.
        """
        kept = 17.5 - 13.5 / 2**self.depth
        return 4 * max(4 * (4.5 * self.width + 2), (kept + 2) * self.width + 3)


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

    @property
    def weights(self) -> float:
        """Number of weights, to a factor of two."""
        return 1e6 * DECODERS[self.decoder][0] * ENCODERS[self.encoder][0]

    @property
    def bytes_per_pixel(self) -> float:
        """Memory of a step, as :attr:`Compact.bytes_per_pixel`, to a factor of two."""
        _, times, plus = DECODERS[self.decoder]
        return times * ENCODERS[self.encoder][1] + plus


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
    if decoder == "dpt" or (decoder in DECODERS and encoder.startswith(("tu-", "timm-"))):
        what = "dpt is built on" if decoder == "dpt" else f"{encoder} is one of"
        raise ValueError(
            f"{what} timm's encoders, which are not offered: what their names stand for changes "
            f"with timm's version; allowed: {ALLOWED}"
        )
    raise ValueError(f"unknown architecture; allowed: {ALLOWED}")
