"""A network, or several stacked, on its way through the epochs: step, validation, best epoch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from passband import devices, networks, schedules
from passband.config import Training
from passband.evaluation import confusion
from passband.scores import dice
from passband.seeds import seed
from passband.stacking import Alone, Stack


@dataclass(frozen=True)
class Trained:
    """What training leaves of a network.

    Attributes
    ----------
    weights : dict of str to Tensor
        State of the epoch with the lowest validation loss.
    history : list of dict
        A row per epoch: epoch, learning_rate (of its last step), train_loss, val_loss, val_dice,
        seconds (of the clock, shared by the networks that the job trained meanwhile).
    stacked : bool
        Whether it was trained as one program with others.
    """

    weights: dict[str, Tensor]
    history: list[dict[str, float]]
    stacked: bool = False

    @property
    def best(self) -> dict[str, float]:
        """The history's row of the chosen epoch."""
        return best(self.history)


def best(history: list[dict[str, float]]) -> dict[str, float]:
    """Return the row with the lowest validation loss, the first of equals; NaN is the highest."""
    return min(history, key=lambda r: math.inf if math.isnan(r["val_loss"]) else r["val_loss"])


def loss(logits: Tensor, masks: Tensor, settings: Training) -> Tensor:
    """Return each network's loss, in float32: weighted cross-entropy plus weighted Dice loss.

    Cross-entropy is focal, (1 − p_t)^γ times itself (Lin et al. 2017), if γ is not 0. The Dice loss
    is 1 − 2Σpy/(Σp + Σy) with sums over the whole batch (Milletari et al. 2016).

    Parameters
    ----------
    logits, masks : (R, N, 1, H, W) tensors
        The networks' output, and the truth as 0 or 1.
    settings : Training
        Weights of the two, and γ.

    Returns
    -------
    (R,) float32 tensor
    """
    logits, masks = logits.float(), masks.expand_as(logits)
    pixels = tuple(range(1, logits.ndim))
    probability = logits.sigmoid()
    entropy = nn.functional.binary_cross_entropy_with_logits(logits, masks, reduction="none")
    if settings.focal_gamma:
        missed = (probability - masks).abs()
        entropy = entropy * missed**settings.focal_gamma
    overlap = (probability * masks).sum(pixels)
    sizes = probability.sum(pixels) + masks.sum(pixels)
    dice_loss = 1 - 2 * overlap / sizes.clamp_min(1e-6)
    return settings.entropy_weight * entropy.mean(pixels) + settings.dice_weight * dice_loss


@dataclass
class _Sums:
    """What the batches of a validation add up to."""

    losses: list[Tensor] = field(default_factory=list)
    counts: list[Tensor] = field(default_factory=list)
    images: int = 0


class Learner:
    """One network, or several stacked, with optimizer, schedule and record of the best epoch.

    Order, turns and dropout are functions of seed and step, so that weights, optimizer state and
    history are all there is to keep of it: see :meth:`state`.

    Parameters
    ----------
    architecture : str
        The networks' architecture by name.
    seeds : mapping of int to int
        Seed of each replica; more than one are stacked.
    settings : Training
        Optimizer, schedule, loss and precision.
    steps_per_epoch : int
        Optimizer steps in an epoch.
    device : torch.device
        Where to train.
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
        self.precision = devices.precision(settings.precision, device)
        self._layout = (
            devices.layout(self.precision, device) if len(seeds) == 1 else torch.preserve_format
        )
        built = (networks.build(architecture, seed(s, "weights")) for s in seeds.values())
        modules = [module.to(device, memory_format=self._layout) for module in built]
        alone = len(modules) == 1
        self.networks = (
            Alone(modules[0], self.precision) if alone else Stack(modules, self.precision)
        )
        self._parameters = list(self.networks.parameters.values())
        self.optimizer = schedules.optimizer(settings, self._parameters)
        # float16 has too few exponents for small gradients; the others need no scale.
        self._scaler = torch.amp.GradScaler(device.type, enabled=self.precision == "float16")
        self.steps = 0
        self.histories: dict[int, list[dict[str, float]]] = {replica: [] for replica in seeds}
        self._best: dict[str, Tensor] = {}
        self._total = torch.zeros(len(seeds), dtype=torch.float64, device=device)
        self._rate = settings.learning_rate
        self._sums = _Sums()

    @property
    def name(self) -> str:
        """The replicas, in words."""
        first, *others = self.seeds
        return f"replicas {first} to {others[-1]}" if others else f"replica {first}"

    @property
    def epoch(self) -> int:
        """Epochs that are over, validation included."""
        return max(len(history) for history in self.histories.values())

    @property
    def steps_left(self) -> int:
        """Steps that the running epoch still needs."""
        return (self.epoch + 1) * self.steps_per_epoch - self.steps

    @property
    def done(self) -> bool:
        """Whether nothing is left to train."""
        return self.epoch == self.settings.epochs or all(map(self._stopped, self.histories))

    def _stopped(self, replica: int) -> bool:
        """Whether a replica's loss has not improved for as long as patience lasts."""
        history, patience = self.histories[replica], self.settings.patience
        return bool(patience and history) and (
            history[-1]["epoch"] - best(history)["epoch"] >= patience
        )

    def step(self, images: Tensor, masks: Tensor) -> None:
        """Take an optimizer step on a batch: (R, N, 1, H, W) images and masks."""
        self._rate, momentum = schedules.rate(self.settings, self.steps, self.steps_per_epoch)
        schedules.set_rate(self.optimizer, self._rate, momentum)
        if isinstance(self.networks, Alone):
            # Dropout draws from torch's global generator; stacks have none.
            (only,) = self.seeds.values()
            torch.manual_seed(seed(only, "step", self.steps))
        logits = self.networks.forward(self._laid_out(images))
        losses = loss(logits, masks, self.settings)
        # The networks share no weight: the gradient of the sum is each one's own.
        self._scaler.scale(losses.sum()).backward()
        self._scaler.step(self.optimizer)
        self._scaler.update()
        self.optimizer.zero_grad()
        self._total += losses.detach()
        self.steps += 1

    def _laid_out(self, images: Tensor) -> Tensor:
        if self._layout == torch.channels_last:
            return images[0].contiguous(memory_format=self._layout)[None]
        return images

    @torch.inference_mode()
    def validate(self, images: Tensor, masks: Tensor) -> None:
        """Take a batch of validation images, (N, 1, H, W), into account."""
        logits, number = self.networks.predict(images).float(), len(images)
        self._sums.losses.append(loss(logits, masks, self.settings) * number)
        together = masks.expand_as(logits)
        counts = confusion(logits.flatten(0, 1), together.flatten(0, 1))
        self._sums.counts.append(counts.unflatten(0, (-1, number)))
        self._sums.images += number

    def close_epoch(self, seconds: float) -> None:
        """End an epoch after its steps and validation: a row of history, and the best weights."""
        losses = (torch.stack(self._sums.losses).double().sum(0) / self._sums.images).tolist()
        scores = dice(torch.cat(self._sums.counts, dim=1).cpu().numpy()).mean(1).tolist()
        trained = (self._total / self.steps_per_epoch).tolist()
        tensors, epoch = self.networks.tensors, self.epoch
        if not self._best:
            self._best = {name: t.clone() for name, t in tensors.items()}
        for place, (replica, history) in enumerate(self.histories.items()):
            if self._stopped(replica):
                continue
            history.append(
                {
                    "epoch": epoch,
                    "learning_rate": self._rate,
                    "train_loss": trained[place],
                    "val_loss": losses[place],
                    "val_dice": scores[place],
                    "seconds": seconds,
                }
            )
            if best(history)["epoch"] == epoch:
                for name, tensor in tensors.items():
                    self._best[name][place].copy_(tensor[place])
        self._total.zero_()
        self._sums = _Sums()

    @property
    def running(self) -> int:
        """Replicas that are not stopped."""
        return sum(not self._stopped(replica) for replica in self.histories)

    def trained(self) -> dict[int, Trained]:
        """Return each replica's best weights and history."""
        stacked = len(self.seeds) > 1
        return {
            replica: Trained({name: t[place] for name, t in self._best.items()}, history, stacked)
            for place, (replica, history) in enumerate(self.histories.items())
        }

    def state(self) -> tuple[dict[str, Tensor], dict]:
        """Return all that training goes on from: tensors, and what JSON can write."""
        tensors = {f"network/{name}": t for name, t in self.networks.tensors.items()}
        tensors |= {f"best/{name}": t for name, t in self._best.items()}
        tensors |= {
            f"optimizer/{place}/{name}": value
            for place, parameter in enumerate(self._parameters)
            for name, value in self.optimizer.state.get(parameter, {}).items()
            if value is not None  # SGD without momentum
        }
        progress = {
            "replicas": list(self.seeds),
            "steps": self.steps,
            "learning_rate": self._rate,
            "histories": list(self.histories.values()),
            "scaler": self._scaler.state_dict(),
        }
        return tensors | {"total": self._total}, progress

    def restore(self, tensors: dict[str, Tensor], progress: dict) -> None:
        """Go on from what :meth:`state` returned. Strides stay as they are: they decide bits."""
        for name, mine in self.networks.tensors.items():
            mine.copy_(tensors[f"network/{name}"])
            if f"best/{name}" in tensors:
                self._best[name] = torch.empty_like(mine).copy_(tensors[f"best/{name}"])
        for key, value in tensors.items():
            kind, _, name = key.partition("/")
            if kind == "optimizer":
                place, _, name = name.partition("/")
                parameter = self._parameters[int(place)]
                like = parameter if value.shape == parameter.shape else value
                mine = torch.empty_like(like, device=self.device, requires_grad=False)
                self.optimizer.state[parameter][name] = mine.copy_(value)
        self._total.copy_(tensors["total"])
        self.steps, self._rate = progress["steps"], progress["learning_rate"]
        self.histories = dict(zip(self.seeds, progress["histories"], strict=True))
        if progress["scaler"]:
            self._scaler.load_state_dict(progress["scaler"])
