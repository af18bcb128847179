"""Training one network on one specimen under one condition, with Lightning as the loop."""

import logging
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import lightning
import numpy as np
import torch
from lightning.pytorch.plugins.environments import LightningEnvironment
from torch import Tensor, nn

from passband import devices, networks
from passband.config import Training
from passband.evaluation import confusion
from passband.examples import Camera, Split
from passband.grid import Condition
from passband.scores import dice
from passband.seeds import seed
from passband.store import StoreError


@dataclass(frozen=True)
class Trained:
    """What training leaves.

    Attributes
    ----------
    weights : dict of str to Tensor
        State of the epoch with the lowest validation loss.
    history : list of dict
        A row per epoch: epoch, learning_rate (of its last step), train_loss, val_loss, val_dice,
        seconds.
    """

    weights: dict[str, Tensor]
    history: list[dict[str, float]]

    @property
    def best(self) -> dict[str, float]:
        """The history's row of the chosen epoch."""
        return min(self.history, key=lambda row: row["val_loss"])


def loss(logits: Tensor, masks: Tensor, dice_weight: float) -> Tensor:
    """Return cross-entropy plus `dice_weight` times the Dice loss, in float32.

    The Dice loss is 1 − 2Σpy/(Σp + Σy) with sums over the whole batch (Milletari et al. 2016).

    Parameters
    ----------
    logits, masks : (N, 1, H, W) tensors
        A network's output, and the truth as 0 or 1.
    """
    logits = logits.float()
    entropy = nn.functional.binary_cross_entropy_with_logits(logits, masks)
    probability = logits.sigmoid()
    overlap = 2 * (probability * masks).sum() / (probability.sum() + masks.sum()).clamp_min(1e-6)
    return entropy + dice_weight * (1 - overlap)


def turn(images: Tensor, how: int) -> Tensor:
    """Return images after one of the eight symmetries of the square.

    Parameters
    ----------
    images : (..., H, H) tensor
        Square images.
    how : int
        0 to 7: quarter turns, modulo 4; from 4 on with a flip before.
    """
    return torch.rot90(images.flip(-1) if how >= 4 else images, how % 4, (-2, -1))


class Epochs:
    """Batches of one network's training images; every iteration is the next epoch.

    Parameters
    ----------
    camera, split, condition
        What the images are of.
    settings : Training
        Batch size, noise and augmentation.
    network_seed : int
        Seed of the order and of the augmentation.
    """

    def __init__(
        self,
        camera: Camera,
        split: Split,
        condition: Condition,
        settings: Training,
        network_seed: int,
    ):
        self.camera, self.split, self.condition = camera, split, condition
        self.settings, self.network_seed = settings, network_seed
        self.epoch = 0
        # Where batches begin, after the first. A last image alone joins the batch before: batch
        # normalisation cannot take a batch of one.
        self._starts = range(settings.batch_size, len(split) - 1, settings.batch_size)
        self._fixed = None if settings.noise == "fresh" else camera.images(split, condition)

    def __len__(self) -> int:
        return len(self._starts) + 1

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        images = self._fixed
        if images is None:
            images = self.camera.images(self.split, self.condition, self.epoch)
        random = np.random.default_rng(seed(self.network_seed, "epoch", self.epoch))
        self.epoch += 1
        order = random.permutation(len(self.split))
        turns = random.integers(8, size=len(order)) if self.settings.augment else 0 * order
        for batch in np.array_split(order, self._starts):
            pairs = [
                (turn(images[i], turns[i]), turn(self.split.masks[i], turns[i])) for i in batch
            ]
            yield tuple(torch.stack(part) for part in zip(*pairs, strict=True))


class Segmentation(lightning.LightningModule):
    """A network with its loss, optimizer and record of the best epoch.

    Parameters
    ----------
    network : Module
        Maps (N, 1, H, W) images to (N, 1, H, W) logits.
    settings : Training
        Optimizer, schedule and loss.
    steps_per_epoch : int
        Optimizer steps in an epoch.
    """

    def __init__(self, network: nn.Module, settings: Training, steps_per_epoch: int):
        super().__init__()
        self.network, self.settings = network, settings
        self.steps = steps_per_epoch * settings.epochs
        self.history: list[dict[str, float]] = []
        self.best: dict[str, Tensor] = {}
        self._train: list[Tensor] = []
        self._val: list[tuple[Tensor, Tensor, int]] = []
        self._rate = settings.learning_rate
        self._started = time.monotonic()

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        images, masks = batch
        value = loss(self.network(images), masks, self.settings.dice_weight)
        self._train.append(value.detach())
        # Kept here because the schedule moves on before validation.
        self._rate = self.optimizers().param_groups[0]["lr"]
        return value

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        images, masks = batch
        logits = self.network(images)
        value = loss(logits, masks, self.settings.dice_weight)
        self._val.append((value, confusion(logits, masks), len(images)))

    def on_validation_epoch_end(self) -> None:
        losses, counts, sizes = zip(*self._val, strict=True)
        row = {
            "epoch": self.current_epoch,
            "learning_rate": self._rate,
            "train_loss": torch.stack(self._train).mean().item(),
            "val_loss": sum(v.item() * n for v, n in zip(losses, sizes, strict=True)) / sum(sizes),
            "val_dice": float(dice(torch.cat(counts).cpu().numpy()).mean()),
            "seconds": time.monotonic() - self._started,
        }
        if all(row["val_loss"] < earlier["val_loss"] for earlier in self.history):
            self.best = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        self.history.append(row)
        self._train, self._val, self._started = [], [], time.monotonic()

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=self.settings.learning_rate)
        match self.settings.schedule:
            case "one-cycle":
                schedule = torch.optim.lr_scheduler.OneCycleLR(
                    optimizer, self.settings.learning_rate, total_steps=self.steps
                )
                interval = "step"
            case "exponential":
                schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, self.settings.decay)
                interval = "epoch"
            case _:
                return optimizer
        return [optimizer], [{"scheduler": schedule, "interval": interval}]


def train(
    architecture: str,
    camera: Camera,
    splits: tuple[Split, Split],
    condition: Condition,
    settings: Training,
    network_seed: int,
    progress: bool = False,
) -> Trained:
    """Train one network.

    Parameters
    ----------
    architecture : str
        The network's architecture by name.
    camera : Camera
        Takes the images.
    splits : (Split, Split)
        Structures to train on, and structures to choose the best epoch by.
    condition : Condition
        The imaging condition of both.
    settings : Training
        The configuration's block `training`.
    network_seed : int
        Seed of initial weights, order and augmentation. Same seed, same kind of device and same
        number of threads give the same network; the images' noise does not depend on it.
    progress : bool
        Whether to draw a progress bar.
    """
    device = camera.imager.device
    training, validation = splits
    network = networks.build(architecture, seed(network_seed, "weights"))
    bfloat16 = devices.precision(settings.precision, device) == "bfloat16"
    if bfloat16:
        network = network.to(memory_format=torch.channels_last)
    epochs = Epochs(camera, training, condition, settings, network_seed)
    images = camera.images(validation, condition)
    size = 4 * settings.batch_size
    held_out = torch.utils.data.DataLoader(
        list(zip(images.split(size), validation.masks.split(size), strict=True)), batch_size=None
    )
    module = Segmentation(network, settings, len(epochs))
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    trainer = lightning.Trainer(
        max_epochs=settings.epochs,
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=1,
        precision="bf16-mixed" if bfloat16 else "32-true",
        # Under SLURM, Lightning would requeue the job itself and compete with Snakemake's retries.
        plugins=[LightningEnvironment()],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=progress,
        num_sanity_val_steps=0,
    )
    with warnings.catch_warnings():
        # The batches lie in memory already: worker processes would only copy them.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*logging interval.*")
        # Dropout draws from torch's global generator.
        with torch.random.fork_rng():
            torch.manual_seed(seed(network_seed, "training"))
            trainer.fit(module, epochs, held_out)
    return Trained(module.best, module.history)


def resumable(path: Path, context: str, make: Callable[[], Trained]) -> Trained:
    """Return what an interrupted job left at a path, or make it and leave it there.

    Parameters
    ----------
    path : path
        A safetensors file outside the workflow's outputs.
    context : str
        Digest of all that the network depends on; a file of another context, or a torn one, is
        made anew.
    make : callable
        Trains the network.
    """
    if path.exists():
        with suppress(StoreError):
            weights, metadata = networks.load(path)
            if metadata.get("context") == context:
                return Trained(weights[0], metadata["history"])
    trained = make()
    networks.save({0: trained.weights}, path, {"context": context, "history": trained.history})
    return trained
