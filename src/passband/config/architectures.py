"""Network architectures by name, as plain data: a configuration is checked without torch.

``compact-w8-d3`` is Passband's own U-Net, with 8 channels at full resolution, which halves the
resolution 3 times. ``unet-resnet18`` is a decoder and an encoder of segmentation_models_pytorch,
with random initial weights.
"""

import re
from dataclasses import dataclass
from pathlib import Path

#: Decoders, and the memory of each compared with the decoder ``unet`` on the same encoder. The
#: three numbers are a factor for the number of weights, a factor for the bytes per pixel, and bytes
#: per pixel that are added. The numbers are rounded, see :class:`Pair`.
DECODERS = {
    "deeplabv3": (1.2, 1.3, 0), "deeplabv3plus": (1, 1.1, 0), "fpn": (1, 1.1, 0),
    "linknet": (1, 1.25, 0), "manet": (3, 1.1, 0), "pan": (1, 0.5, 0), "pspnet": (1, 0.5, 0),
    "segformer": (1, 1, 2000), "unet": (1, 1, 0), "unetplusplus": (1.5, 2.4, 0),
    "upernet": (1.2, 1, 1500),
}  # fmt: skip

#: Path of the table of encoders, which ``benchmarks/encoders.py`` makes.
ENCODERS_FILE = Path(__file__).with_name("encoders.csv")


def read_encoders(path: Path = ENCODERS_FILE) -> dict[str, tuple[float, float]]:
    """Return, for the decoder ``unet`` on each encoder, millions of weights and bytes per pixel."""
    _, *rows = path.read_text().splitlines()
    columns = (row.split(",") for row in rows)
    return {name: (float(weights), float(per_pixel)) for name, weights, per_pixel in columns}


#: Encoders, with millions of weights and bytes per pixel of the decoder ``unet`` on each encoder.
ENCODERS = read_encoders()

# Pairs of decoder and encoder that segmentation_models_pytorch cannot build. The first pairs have
# decoders that dilate their encoder, and encoders that cannot be dilated. The second pairs have
# decoders that need a first stage of the encoder, which vision transformers do not have.
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
    """Passband's own U-Net.

    `width` is its number of channels at full resolution. `depth` is how many times it halves the
    resolution.
    """

    width: int
    depth: int

    @property
    def divisor(self) -> int:
        """The side of an image must be a multiple of this."""
        return 2**self.depth

    @property
    def smallest_px(self) -> int:
        """The smallest side. With a smaller side, batch normalisation would have a single pixel."""
        return 2 * self.divisor

    @property
    def weights(self) -> int:
        """Number of weights: two normalised 3 × 3 convolutions for each block, and a last layer."""
        channels = [self.width * 2**level for level in range(self.depth + 1)]
        inputs = [1, *channels[:-1], *(c + 2 * c for c in channels[:-1])]
        outputs = [*channels, *channels[:-1]]
        blocks = zip(inputs, outputs, strict=True)
        return sum(9 * (i + o) * o + 4 * o for i, o in blocks) + self.width + 1

    @property
    def bytes_per_pixel(self) -> float:
        """Memory in float32 for each pixel of a training batch [bytes].

        The result is the larger of the memory of a training step and the memory of validation.
        Validation predicts four times as many images at a time. Validation has 4½ × `width` numbers
        per pixel in memory where the last skip connection is joined. A training step keeps tensors
        for the gradients: the results of convolutions and normalisations, with four times the
        channels of each block, and the results of pooling with their indices.
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
        """The smallest side. With a smaller side, batch normalisation would have a single pixel."""
        return 128 if self.decoder == "pan" else 64

    @property
    def weights(self) -> float:
        """Number of weights, correct to a factor of two."""
        return 1e6 * DECODERS[self.decoder][0] * ENCODERS[self.encoder][0]

    @property
    def bytes_per_pixel(self) -> float:
        """Memory for each pixel of a batch [bytes], correct to a factor of two.

        The memory is defined as in :attr:`Compact.bytes_per_pixel`.
        """
        _, times, plus = DECODERS[self.decoder]
        return times * ENCODERS[self.encoder][1] + plus


def parse(name: str) -> Compact | Pair:
    """Return the architecture that a name describes.

    Raises:
        ValueError: If no architecture has this name. The message lists the allowed names.
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
            f"{what} timm's encoders, which are not offered: the networks behind their names "
            f"change with timm's version; allowed: {ALLOWED}"
        )
    raise ValueError(f"unknown architecture; allowed: {ALLOWED}")
