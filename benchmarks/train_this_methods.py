"""Methods of train_this.py that are not in the package: test statistics, flipped phases, FiLM."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from passband.axes import MAIN_AXES
from passband.config import Study
from passband.grid import Condition
from passband.imaging import mixture_images
from passband.imaging.acquisition import Acquisition
from passband.learning import networks, schedules
from passband.learning.batches import Batches, MixedImages
from passband.learning.losses import loss
from passband.optics import ctf


class Flipped(Acquisition):
    """Forms images whose phases are flipped where the transfer of their lens is negative."""

    def normalised(self, counts: Tensor, condition: Condition) -> Tensor:
        """Return the counts, whose mean stays, with flipped phases, and normalised."""
        spectrum = torch.fft.fft2(counts)
        return super().normalised(torch.fft.ifft2(spectrum * self._sign(condition)).real, condition)

    def _sign(self, condition: Condition) -> Tensor:
        """Return −1 at frequencies whose transfer is negative, and otherwise 1, (px, px)."""
        px, pixel_A = self.microscope.field_px, self.microscope.pixel_size_A
        q = np.fft.fftfreq(px, pixel_A)
        transfer = ctf.transfer(self.microscope.optics(condition), np.hypot(q[:, None], q))
        return torch.as_tensor(np.where(transfer < 0, -1, 1), dtype=torch.float32)


class Told(nn.Module):
    """A compact U-Net whose normalised features are scaled and shifted by functions of a condition.

    The input (N, 5, px, px) has the image, and four planes that :func:`planes` makes.
    """

    def __init__(self, architecture: str, number: int):
        super().__init__()
        self.network = networks.build(architecture, number)
        layers = [m for m in self.network.modules() if isinstance(m, nn.BatchNorm2d)]
        self._sizes = [layer.num_features for layer in layers]
        with torch.random.fork_rng():
            torch.manual_seed(number)
            self.of_condition = nn.Sequential(
                nn.Linear(len(MAIN_AXES), 32), nn.ReLU(), nn.Linear(32, 2 * sum(self._sizes))
            )
        for parameter in self.of_condition[-1].parameters():
            nn.init.zeros_(parameter)  # at first, the condition changes nothing
        for place, layer in enumerate(layers):
            layer.register_forward_hook(lambda _m, _i, out, k=place: self._changed(out, k))

    def _changed(self, features: Tensor, place: int) -> Tensor:
        scale, shift = self._given[place].chunk(2, dim=1)
        return features * (1 + scale[..., None, None]) + shift[..., None, None]

    def forward(self, x: Tensor) -> Tensor:
        self._given = self.of_condition(x[:, 1:, 0, 0]).split([2 * n for n in self._sizes], dim=1)
        return self.network(x[:, :1].contiguous())


def planes(conditions: Sequence[Condition], of: Mapping[str, tuple], px: int) -> Tensor:
    """Return defocus, Cs, aperture and log dose, −1 to 1 in ranges `of`: (N, 4, px, px)."""

    def scaled(name: str, value: float) -> float:
        low, high = of[name]
        if name == "dose_e_per_A2":
            value, low, high = np.log([value, low, high])
        return float(2 * (value - low) / (high - low) - 1)

    values = [[scaled(name, getattr(c, name)) for name in MAIN_AXES] for c in conditions]
    return torch.tensor(values)[:, :, None, None].expand(-1, -1, px, px)


class ToldImages(MixedImages):
    """Images of a mixture with the planes of their conditions."""

    def _drawn(self, places, draw, owners, turns):
        images, masks = super()._drawn(places, draw, owners, turns)
        numbers, names = self._source.structures[places], self._source.names
        drawn = [
            mixture_images.drawn(self._condition, names, int(number), draw, owner)
            for number, owner in zip(numbers, owners or [None] * len(numbers), strict=True)
        ]
        of = {name: ends for name, *ends in self._condition.ranges}
        return torch.cat([images, planes(drawn, of, images.shape[-1])], 1), masks


def with_test_statistics(network: nn.Module) -> nn.Module:
    """Return the network, normalised by the statistics of the images of each forward pass."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean = layer.running_var = None
    return network.eval()


def train_told(images: Sequence[MixedImages], study: Study, number: int, replica: int) -> nn.Module:
    """Return a network that is told the condition, after its epoch of lowest validation loss.

    Args:
        images: For training and for validation.
        number: The seed of the weights.
    """
    settings, batches = study.training, Batches(images[0], study.training)
    network = Told(study.training.architectures[0], number)
    optimizer = schedules.optimizer(settings, network.parameters())
    truth, best, lowest, step = images[1].take(np.arange(len(images[1]))), {}, np.inf, 0
    for epoch in range(settings.epochs):
        network.train()
        for x, masks in batches.epoch([replica], epoch):
            schedules.set_rate(optimizer, *schedules.rate(settings, step, len(batches)))
            loss(network(x[0])[None], masks, settings).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
            step += 1
        network.eval()
        with torch.inference_mode():
            found = float(loss(network(truth[0])[None], truth[1][None], settings))
        if found < lowest:
            lowest, best = found, {k: v.clone() for k, v in network.state_dict().items()}
    network.load_state_dict(best)
    return network.eval()
