"""Pairs of a decoder and an encoder of segmentation_models_pytorch, as plain data."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from passband.parts import architecture

if TYPE_CHECKING:
    from torch import nn

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


def _read_encoders() -> dict[str, tuple[float, float]]:
    _, *rows = ENCODERS_FILE.read_text().splitlines()
    columns = (row.split(",") for row in rows)
    return {name: (float(weights), float(per_pixel)) for name, weights, per_pixel in columns}


#: Encoders, with millions of weights and bytes per pixel of the decoder ``unet`` on each encoder.
ENCODERS = _read_encoders()

# Pairs of decoder and encoder that segmentation_models_pytorch cannot build. The first pairs have
# decoders that dilate their encoder, and encoders that cannot be dilated. The second pairs have
# decoders that need a first stage of the encoder, which vision transformers do not have.
_UNFIT = (
    (("deeplabv3", "deeplabv3plus", "pan"), ("densenet", "vgg", "xception")),
    (("linknet", "unetplusplus"), ("mit_",)),
)


@architecture(name="<decoder>-<encoder>", example="unet-resnet18")
@dataclass(frozen=True)
class Pair:
    """A decoder and an encoder of segmentation_models_pytorch.

    `outputs` are the logit of the mask and what a head needs, of the same last features.

    Raises:
        ValueError: If there is no such pair. The message lists the allowed names.
    """

    decoder: str
    encoder: str
    outputs: int = 1

    def __post_init__(self) -> None:
        decoder = self.decoder
        encoder = self.encoder
        of_timm = encoder not in ENCODERS and encoder.startswith(("tu-", "timm-"))
        if decoder == "dpt" or (decoder in DECODERS and of_timm):
            what = "dpt is built on" if decoder == "dpt" else f"{encoder} is one of"
            raise ValueError(
                f"{what} timm's encoders, which are not offered: the networks behind their names "
                f"change with timm's version; encoders are {', '.join(ENCODERS)}"
            )
        for kind, name, known in (("decoder", decoder, DECODERS), ("encoder", encoder, ENCODERS)):
            if name not in known:
                raise ValueError(
                    f"unknown architecture, as there is no {kind} {name!r}; {kind}s are "
                    f"{', '.join(known)}"
                )
        if any(decoder in ds and encoder.startswith(es) for ds, es in _UNFIT):
            raise ValueError(
                f"{decoder} cannot be built on {encoder}; take another encoder, such as resnet18"
            )

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
        """Memory for each pixel of a batch [bytes], correct to a factor of :attr:`doubt`.

        The memory is defined as in :attr:`passband.learning.architectures.compact.Compact`.
        """
        _, times, plus = DECODERS[self.decoder]
        further = 4 * (self.outputs - 1)
        return times * ENCODERS[self.encoder][1] + plus + further

    @property
    def doubt(self) -> float:
        """The table has the bytes of the decoder ``unet``; those of others are rounded."""
        return 1.0 if self.decoder == "unet" else 2.0

    def build(self) -> "nn.Module":
        """Return a network with new random weights."""
        # Its import takes seconds, and other networks do not need it.
        import segmentation_models_pytorch as smp

        return smp.create_model(
            self.decoder, self.encoder, encoder_weights=None, in_channels=1, classes=self.outputs
        )
