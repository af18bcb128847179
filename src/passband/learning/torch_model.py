"""A network of torch as what looks at images gets it: numbers in, numbers out."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor, nn

from passband.config.architectures import Architecture
from passband.learning import devices, network_sizes, receptive_field
from passband.learning.networks import encoded

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class TorchModel:
    """A network of torch, see :class:`passband.micrographs.models.model.Model`.

    Attributes:
        module: The network, on the device and in evaluation mode.
        precision: A precision that the device supports, see :func:`devices.precision`.
    """

    module: nn.Module
    architecture: Architecture
    precision: str = "float32"
    device: torch.device = _CPU

    @property
    def name(self) -> str:
        """The name of the architecture."""
        return self.architecture.name

    @property
    def divisor(self) -> int:
        """The sides of images are multiples of this number of pixels."""
        return self.architecture.divisor

    @property
    def smallest_px(self) -> int:
        """The smallest side of an image [pixels]."""
        return self.architecture.smallest_px

    @property
    def outputs(self) -> int:
        """The number of outputs, with that of the mask."""
        return self.architecture.outputs

    @property
    def halo(self) -> int | None:
        """See :func:`passband.learning.receptive_field.halo`."""
        return receptive_field.halo(self.architecture)

    @property
    def bytes_per_pixel(self) -> float:
        """The memory for each pixel of a training batch [bytes]."""
        return network_sizes.bytes_per_pixel(self.architecture)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return (N, outputs, height, width) float32: the probability, and the further outputs."""
        result = self._logits(images).cpu().numpy()
        result[:, 0] = expit(result[:, 0])
        return result

    def probability(self, images: np.ndarray) -> np.ndarray:
        """Return the probability alone, (N, height, width) float32."""
        # The last digits of torch's sigmoid are those in files of likeness.
        return torch.sigmoid(self._logits(images)[:, 0]).cpu().numpy()

    def means(self, images: np.ndarray) -> np.ndarray:
        """Return the means (N, channels) float64 of the encoder's features over the pixels."""
        with torch.inference_mode(), devices.autocast(self.precision, self.device):
            maps = [each.float() for each in encoded(self.module, self._tensor(images))]
            return torch.cat([each.mean((2, 3)) for each in maps], 1).cpu().numpy().astype(float)

    def _logits(self, images: np.ndarray) -> Tensor:
        with torch.inference_mode(), devices.autocast(self.precision, self.device):
            return self.module(self._tensor(images)).float()

    def _tensor(self, images: np.ndarray) -> Tensor:
        layout = devices.layout(self.precision, self.device)
        tensor = torch.from_numpy(np.ascontiguousarray(images, np.float32)).to(self.device)
        return tensor.contiguous(memory_format=layout)
