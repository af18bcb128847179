"""Training of one network, or of several vectorized networks: steps, validation, best epoch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor

from passband.config import Training
from passband.learning import backend, devices, networks, schedules
from passband.learning.evaluation import confusion
from passband.learning.loss_of_study import LossOfStudy
from passband.learning.vectorized import SingleNetwork, VectorizedNetworks
from passband.scores import dice
from passband.seeds import seed
from passband.storage.weights import EpochRecord


@dataclass(frozen=True)
class Trained:
    """The result of a network's training.

    Attributes:
        weights: Weights and buffers after the epoch with the lowest validation loss.
        vectorized: Whether the network was trained together with other replicas, as one program.
    """

    weights: dict[str, Tensor]
    history: list[EpochRecord]
    vectorized: bool = False

    @property
    def best(self) -> EpochRecord:
        """The record of the epoch whose weights are kept."""
        return best(self.history)


def best(history: list[EpochRecord]) -> EpochRecord:
    """Return the record of the epoch with the lowest validation loss.

    If several epochs have the same loss, the first of them counts. A loss of NaN counts as
    infinite.
    """
    return min(history, key=lambda r: math.inf if math.isnan(r.val_loss) else r.val_loss)


@dataclass
class _Sums:
    """Losses, counts and number of images of all validation batches of the present epoch so far."""

    losses: list[Tensor] = field(default_factory=list)
    counts: list[Tensor] = field(default_factory=list)
    images: int = 0


class Learner:
    """One network, or several vectorized networks, with optimizer, schedule and best epoch.

    Dropout depends only on the seed and the step. Batches depend only on the replica and the step.
    So weights, optimizer state and history are the complete state of training, see :meth:`state`.

    Args:
        seeds: Seed of each replica's initial weights and dropout. If there are several replicas,
            they are vectorized.

    Attributes:
        compiled: Whether compiled functions train the networks, and not torch.
    """

    def __init__(
        self,
        architecture: str,
        seeds: Mapping[int, int],
        settings: Training,
        steps_per_epoch: int,
        device: torch.device,
    ):
        self.seeds, self.settings, self.device = dict(seeds), settings, device
        self.steps_per_epoch = steps_per_epoch
        self.precision = backend.precision(settings, architecture, device)
        self.compiled = backend.compiles(settings, architecture, device)
        self._layout = torch.preserve_format
        if len(seeds) == 1 and not self.compiled:
            self._layout = devices.layout(self.precision, device)
        named = settings.architecture(architecture)
        self._loss = LossOfStudy(settings, named.head)
        built = (networks.build(named, seed(s, "weights")) for s in seeds.values())
        modules = [module.to(device, memory_format=self._layout) for module in built]
        if self.compiled:
            self.networks = backend.CompactNetworks(modules)
        elif len(modules) == 1:
            self.networks = SingleNetwork(modules[0], self.precision)
        else:
            self.networks = VectorizedNetworks(modules, self.precision)
        self._parameters = list(self.networks.parameters.values())
        self.optimizer = schedules.optimizer(settings, self._parameters)
        # Small gradients become 0 in float16, so that the loss is scaled. In other precisions, the
        # loss is not scaled.
        self._scaler = torch.amp.GradScaler(device.type, enabled=self.precision == "float16")
        self.steps = 0
        self.histories: dict[int, list[EpochRecord]] = {replica: [] for replica in seeds}
        self._best: dict[str, Tensor] = {}
        self._total = torch.zeros(len(seeds), dtype=torch.float64, device=device)
        self._rate = settings.learning_rate
        self._sums = _Sums()

    @property
    def name(self) -> str:
        """Text with the numbers of the learner's replicas, for the log."""
        first, *others = self.seeds
        return f"replicas {first} to {others[-1]}" if others else f"replica {first}"

    @property
    def epoch(self) -> int:
        """Number of finished epochs. An epoch is finished when its validation is finished."""
        return len(next(iter(self.histories.values())))

    @property
    def steps_left(self) -> int:
        """Number of optimizer steps that are left in the running epoch."""
        return (self.epoch + 1) * self.steps_per_epoch - self.steps

    @property
    def done(self) -> bool:
        """Whether training is finished."""
        return self.epoch == self.settings.epochs

    def step(self, images: Tensor, masks: Tensor, instances: Tensor | None = None) -> None:
        """Take an optimizer step with a batch of (R, N, 1, H, W) images and masks.

        `instances` are (R, N, 2, H, W), for a loss or a head that needs them.
        """
        self._rate, momentum = schedules.rate(self.settings, self.steps, self.steps_per_epoch)
        schedules.set_rate(self.optimizer, self._rate, momentum)
        if self.compiled:
            losses = self.networks.accumulate(images, masks, self.settings)
        else:
            losses = self._backward(images, masks, instances)
        self._scaler.step(self.optimizer)
        self._scaler.update()
        self.optimizer.zero_grad()
        self._total += losses
        self.steps += 1

    def _backward(self, images: Tensor, masks: Tensor, instances: Tensor | None) -> Tensor:
        """Compute the gradients of networks that torch computes, and return their losses."""
        if isinstance(self.networks, SingleNetwork):
            # Dropout draws from torch's global generator; vectorized networks have no dropout.
            (only,) = self.seeds.values()
            torch.manual_seed(seed(only, "step", self.steps))
        if self._layout == torch.channels_last:
            images = images[0].contiguous(memory_format=self._layout)[None]
        logits = self.networks.forward(images)
        losses = self._loss(logits, masks, instances)
        # Networks share no weights. So the gradient of the sum of losses has the gradient of each
        # network's own loss.
        self._scaler.scale(losses.sum()).backward()
        return losses.detach()

    def example_targets(self, images: int, px: int) -> list[Tensor]:
        """Return targets of some images for :meth:`step`, to try it or to measure its time."""
        return self._loss.example(len(self.seeds), images, px, self.device)

    @torch.inference_mode()
    def validate(self, images: Tensor, masks: Tensor, instances: Tensor | None = None) -> None:
        """Validate with (N, 1, H, W) images and masks: add losses and counts to the epoch's.

        `instances` are (N, 2, H, W), for a loss or a head that needs them.
        """
        logits, number = self.networks.predict(images).float(), len(images)
        self._sums.losses.append(self._loss(logits, masks, instances) * number)
        logits = logits[:, :, :1]
        together = masks.expand_as(logits)
        counts = confusion(logits.flatten(0, 1), together.flatten(0, 1))
        self._sums.counts.append(counts.unflatten(0, (-1, number)))
        self._sums.images += number

    def close_epoch(self, seconds: float) -> None:
        """End an epoch: add a record to the history of each replica.

        The weights of a replica are kept if the epoch has the lowest validation loss. `seconds` is
        the time of the epoch for one replica.
        """
        losses = (torch.stack(self._sums.losses).double().sum(0) / self._sums.images).tolist()
        scores = dice(torch.cat(self._sums.counts, dim=1).cpu().numpy()).mean(1).tolist()
        trained = (self._total / self.steps_per_epoch).tolist()
        tensors, epoch = self.networks.tensors, self.epoch
        if not self._best:
            self._best = {name: t.clone() for name, t in tensors.items()}
        for place, history in enumerate(self.histories.values()):
            history.append(
                EpochRecord(
                    epoch=epoch,
                    learning_rate=self._rate,
                    train_loss=trained[place],
                    val_loss=losses[place],
                    val_dice=scores[place],
                    seconds=seconds,
                )
            )
            if best(history).epoch == epoch:
                for name, tensor in tensors.items():
                    self._best[name][place].copy_(tensor[place])
        self._total.zero_()
        self._sums = _Sums()

    def trained(self) -> dict[int, Trained]:
        """Return each replica's best weights and history."""
        vectorized = len(self.seeds) > 1
        return {
            replica: Trained(
                {name: t[place] for name, t in self._best.items()}, history, vectorized
            )
            for place, (replica, history) in enumerate(self.histories.items())
        }

    def state(self) -> tuple[dict[str, Tensor], dict]:
        """Return the complete state of training: tensors, and values that JSON can write."""
        tensors = {f"network/{name}": t for name, t in self.networks.tensors.items()}
        tensors |= {f"best/{name}": t for name, t in self._best.items()}
        tensors |= {
            f"optimizer/{place}/{name}": value
            for place, parameter in enumerate(self._parameters)
            for name, value in self.optimizer.state.get(parameter, {}).items()
        }
        progress = {
            "replicas": list(self.seeds),
            "steps": self.steps,
            "learning_rate": self._rate,
            "histories": [[asdict(r) for r in history] for history in self.histories.values()],
            "scaler": self._scaler.state_dict(),
        }
        return tensors | {"total": self._total}, progress

    def restore(self, tensors: dict[str, Tensor], progress: dict) -> None:
        """Resume training from a state of :meth:`state`.

        Tensors keep their strides, since the last bits of later results depend on the strides.
        """
        for name, tensor in self.networks.tensors.items():
            tensor.copy_(tensors[f"network/{name}"])
            if f"best/{name}" in tensors:
                self._best[name] = torch.empty_like(tensor).copy_(tensors[f"best/{name}"])
        for key, value in tensors.items():
            kind, _, name = key.partition("/")
            if kind == "optimizer":
                place, _, name = name.partition("/")
                parameter = self._parameters[int(place)]
                like = parameter if value.shape == parameter.shape else value
                tensor = torch.empty_like(like, device=self.device, requires_grad=False)
                self.optimizer.state[parameter][name] = tensor.copy_(value)
        self._total.copy_(tensors["total"])
        self.steps, self._rate = progress["steps"], progress["learning_rate"]
        for replica, rows in zip(self.seeds, progress["histories"], strict=True):
            self.histories[replica] = [EpochRecord(**row) for row in rows]
        if progress["scaler"]:
            self._scaler.load_state_dict(progress["scaler"])


def running_epoch(learners: Sequence[Learner]) -> int:
    """Return the lowest epoch, from 0 on, of all learners that are not finished."""
    return min(learner.epoch for learner in learners if not learner.done)
