"""Trains and tests the networks of train_this.py, also by methods that the package lacks.

These are test statistics, flipped phases, and networks that are told the condition (FiLM).
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from findings.twelve_thousand.pieces import WHOLE
from passband.axes import MAIN_AXES
from passband.config import Study, load
from passband.grid import Condition
from passband.imaging import mixture_images
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Split, Structures
from passband.learning import backend, networks, schedules, training
from passband.learning.batches import Batches, MixedImages
from passband.learning.deadline import StopCondition
from passband.learning.evaluation import confusion
from passband.learning.losses import entropy_dice
from passband.mixtures import Mixture
from passband.optics import ctf
from passband.prediction.range_of_use import ranges
from passband.scores import dice
from passband.seeds import seed
from passband.specimens import exit_waves

#: The folder of the networks.
KEPT = Path("results/train-this")


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
        indices = self._source.indices[places]
        structures = self._source.structures
        drawn = [
            mixture_images.drawn(self._condition, structures, int(index), draw, owner)
            for index, owner in zip(indices, owners or [None] * len(indices), strict=True)
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
            entropy_dice(network(x[0])[None], masks, settings).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
            step += 1
        network.eval()
        with torch.inference_mode():
            found = float(entropy_dice(network(truth[0])[None], truth[1][None], settings))
        if found < lowest:
            lowest, best = found, {k: v.clone() for k, v in network.state_dict().items()}
    network.load_state_dict(best)
    return network.eval()


# ── Training and tests ───────────────────────────────────────────────────────────────────────────


_SIMULATED: dict[tuple, Split] = {}


@dataclass
class Bench:
    """Trains the networks of a study on its structures, and keeps them in a folder.

    Attributes:
        structures: The numbers of the test structures.
    """

    study: Study
    folder: Path = KEPT
    structures: range = range(8)

    def __post_init__(self):
        self.seconds = dict.fromkeys(("simulate", "train", "evaluate"), 0.0)
        self.folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def measured(self, stage: str) -> Iterator[None]:
        before = time.process_time()
        try:
            yield
        finally:
            self.seconds[stage] += time.process_time() - before

    def split(self, name: str, numbers: range) -> Split:
        """Return simulated structures, which studies of the same specimen share."""
        (specimen, of), seed_ = next(iter(self.study.specimens.items())), self.study.study.seed
        key = specimen, repr(of), repr(self.study.microscope), seed_, name, numbers
        if key not in _SIMULATED:
            with self.measured("simulate"):
                waves = exit_waves.simulate(
                    specimen, of, self.study.microscope, seed_, name, numbers, "cpu"
                )
            structures = Structures(seed_, specimen, name, self.study.microscope)
            _SIMULATED[key] = Split.from_dataset(waves, structures, torch.device("cpu"))
        return _SIMULATED[key]

    @cached_property
    def splits(self) -> tuple[Split, Split]:
        """The structures for training and for validation."""
        of = self.study.study.structures
        return self.split("train", range(of.train)), self.split("val", range(of.val))

    @cached_property
    def tests(self) -> Split:
        return self.split("test", self.structures)

    def acquisition(self, kind: type[Acquisition] = Acquisition) -> Acquisition:
        of = self.study
        return kind.from_microscope(of.microscope, of.training.normalisation, torch.device("cpu"))

    def trained(
        self, under: Condition | Mixture, replicas: Sequence[int], kind: str = ""
    ) -> dict[int, nn.Module]:
        """Return networks by replica; `kind` is "", "flipped" or "told"."""
        settings, (specimen,) = self.study.training, self.study.specimens
        architecture, found, missing = settings.architectures[0], {}, {}
        for replica in replicas:
            name = f"{kind or 'plain'}-{settings.epochs}-{under.id}-{replica}"
            path = self.folder / f"{name}.safetensors"
            # The seed of the package's networks.
            number = seed(self.study.study.seed, specimen, architecture, under.id, replica)
            found[replica] = Told(architecture, number) if kind == "told" else None
            if not path.exists():
                missing[replica] = path, number
            elif kind == "told":
                found[replica].load_state_dict(load_file(path))
                found[replica].eval()
            else:
                found[replica] = networks.restore(architecture, load_file(path))
        if not missing:
            return found
        splits = self.splits
        with self.measured("train"):
            if kind == "told":
                for replica, (path, number) in missing.items():
                    images = [ToldImages(self.acquisition(), each, under) for each in splits]
                    made = train_told(images, self.study, seed(number, "weights"), replica)
                    save_file(made.state_dict(), path)
            else:
                acquisition = self.acquisition(Flipped if kind else Acquisition)
                numbers = {replica: number for replica, (_, number) in missing.items()}
                made = training.train(
                    architecture, acquisition, splits, under, settings, numbers,
                    folder=self.folder / f"state-{kind}-{settings.epochs}-{under.id}",
                    digest=f"{sorted(numbers)}", stop=StopCondition(),
                )  # fmt: skip
                for replica, of in made.items():
                    save_file(
                        {k: torch.as_tensor(v).clone().contiguous() for k, v in of.weights.items()},
                        missing[replica][0],
                    )
        return self.trained(under, replicas, kind)

    def tested(
        self,
        found: Mapping[int, nn.Module],
        conditions: Sequence[Condition],
        kind: str = "",
        statistics: bool = False,
    ) -> np.ndarray:
        """Return Dice, (replica, test, structure), of networks under test conditions.

        With `statistics`, batch normalisation has the statistics of each condition's images.
        """
        tests, several, told = self.tests, list(found.values()), kind == "told"
        of = ranges(load(WHOLE).test_conditions)
        with self.measured("evaluate"), torch.inference_mode():
            acquisition = self.acquisition(Flipped if kind == "flipped" else Acquisition)
            predict = None
            if statistics:
                several = [with_test_statistics(each) for each in several]
            elif not told:
                predict = backend.predictor(several, "float32", torch.device("cpu"))
            predict = predict or (lambda x: [each(x) for each in several])
            dices = []
            for condition in conditions:
                x = acquisition.images(tests, condition)
                if told:
                    extra = planes([condition] * len(x), of, x.shape[-1])
                    x = torch.cat([x, extra], 1)
                counts = [confusion(logits, tests.truth).numpy() for logits in predict(x)]
                dices.append(dice(np.stack(counts)))
        return np.stack(dices, 1)
