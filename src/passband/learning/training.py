"""Training of a job's replicas on one specimen under one condition, with Lightning.

The parts of the training code are Lightning's: :class:`ReplicaModule` takes the optimizer steps,
:class:`ImageDataModule` yields the batches, :mod:`passband.learning.callbacks` save the state and
stop training, and ``Trainer.fit`` is the only loop. These parts differ from a usual example of
Lightning in four points:

- Optimization is manual, since each replica of a job has its own optimizer.
- A data loader yields whole batches, since the images of a batch are formed together, and can begin
  in the middle of an epoch. Each learner has its own checkpoint file, in a format that is not
  Lightning's. So an interrupted job continues at the step at which its state was saved, and its
  networks have the same bits as without the interruption. Code in a checkpoint file is not run when
  the file is read.
- To stop training, an exception is raised: after ``should_stop``, Lightning would first run a
  validation, which may take longer than a scheduler waits.
- The Trainer logs nothing and writes no files. So Lightning needs only 0.35 ms for each step.
"""

import logging
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import lightning
import torch
from lightning.pytorch.plugins.environments import LightningEnvironment
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from passband.config import Training
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.learning import devices
from passband.learning.batches import Batches, images_under
from passband.learning.callbacks import CheckpointCallback, EpochCallback, SignalCallback
from passband.learning.deadline import StopCondition
from passband.learning.learner import Learner, Trained, running_epoch
from passband.learning.streaming import Source
from passband.mixtures import Mixture
from passband.store import checkpoints

logger = logging.getLogger("passband")

#: A vectorized step of several replicas must take less than this share of the time of single steps
#: of all these replicas. Otherwise replicas are not vectorized.
CLEARLY_FASTER = 0.85
#: If each network has fewer optimizer steps than this, no steps are timed: timing would take more
#: time than it could save.
WORTH_TIMING = 60
#: If each network has at least so many optimizer steps, torch compiles it on a GPU, which takes a
#: minute.
WORTH_COMPILING = 5000
#: Number of images in a validation batch, divided by the number of images in a training batch.
#: Validation batches can be larger, since validation keeps no activations for gradients.
VALIDATION_BATCH = 4


def train(
    architecture: str,
    acquisition: Acquisition,
    splits: tuple[Source, Source],
    condition: Condition | Mixture,
    settings: Training,
    seeds: Mapping[int, int],
    *,
    together: bool | None = None,
    hold: bool = True,
    folder: Path | None = None,
    digest: str = "",
    stop: StopCondition | None = None,
    progress: bool = False,
) -> dict[int, Trained]:
    """Train a job's replicas, and return the networks by replica, in the order of `seeds`.

    Args:
        acquisition: Forms the noise-free images once for all replicas, and draws the noise for each
            replica.
        splits: Structures for training, and structures for validation, which chooses the best
            epoch.
        condition: The imaging condition of all images, or the distribution of the conditions of
            single images.
        seeds: Each replica's seed of initial weights and dropout. Noise, order and augmentation of
            the images depend on the replica's number and not on the architecture. All replicas
            share the validation images. The same replica number and the same seed give the same
            network on the same kind of device with the same number of threads. The networks are
            equal to the last bit if replicas are trained one after another, and equal up to
            rounding errors if replicas are vectorized.
        together: Whether to vectorize replicas. By default, they are vectorized if compiled
            functions train them, or if a few steps show that it takes less time.
        hold: Whether to keep noise-free images in memory, or to form them for every batch; see
            :func:`passband.learning.streaming.choose`. The trained networks do not depend on
            `hold`.
        folder: Folder for saved states of training. If it has a saved state, training continues
            from there.
        digest: That of everything that the networks depend on. A saved state with another digest
            is removed.
        stop: Decides when the state is saved and when training stops.

    Raises:
        StoppedError: If the deadline, SIGTERM or Ctrl-C stops training.
    """
    device = acquisition.imager.device
    stop = stop or StopCondition()
    instances = settings.needs_instances(architecture)
    data = ImageDataModule(
        acquisition, splits, condition, settings=settings, hold=hold, instances=instances
    )
    steps, signals = len(data.batches), SignalCallback(stop)

    def make_learner(replicas: Sequence[int]) -> Learner:
        chosen = {replica: seeds[replica] for replica in replicas}
        return Learner(architecture, chosen, settings, steps, device)

    # Dropout uses torch's global random generator, also in steps that are only timed.
    with torch.random.fork_rng(), signals.listening():
        states = _saved_states(folder, digest)
        if states:
            together = any(len(progress["replicas"]) > 1 for _, progress in states.values())
        elif together is None:
            together = len(seeds) > 1 and _vectorizing_pays(
                make_learner, list(seeds), settings.epochs * steps, data.batches
            )
        groups = [list(seeds)] if together else [[replica] for replica in seeds]
        learners = [make_learner(group) for group in groups]
        for learner in learners:
            if min(learner.seeds) in states:
                learner.restore(*states[min(learner.seeds)])
                logger.info("%s: continues after %d steps", learner.name, learner.steps)
            if device.type == "cuda" and settings.epochs * steps >= WORTH_COMPILING:
                learner.networks.compile()
        if not all(learner.done for learner in learners):
            callbacks = [
                EpochCallback(learners),
                CheckpointCallback(learners, stop, folder, digest),
                signals,
            ]
            trainer = _trainer(
                settings.epochs - running_epoch(learners), device, callbacks, progress
            )
            with warnings.catch_warnings():
                # Worker processes would only copy images that are in memory already.
                warnings.filterwarnings("ignore", message=".*does not have many workers.*")
                # Snakemake starts the jobs, and needs no srun for them.
                warnings.filterwarnings("ignore", message=".*`srun` command is available.*")
                # Lightning's own use of a class that torch is going to replace.
                warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
                trainer.fit(ReplicaModule(learners), datamodule=data)
    return {r: trained for learner in learners for r, trained in learner.trained().items()}


def _trainer(
    epochs: int, device: torch.device, callbacks: list[lightning.Callback], progress: bool
) -> lightning.Trainer:
    """Return Lightning's Trainer for a job. The Trainer writes no files."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    return lightning.Trainer(
        max_epochs=epochs,
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=1,
        # Under SLURM, Lightning would requeue the job itself and compete with Snakemake's retries.
        plugins=[LightningEnvironment()],
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=progress,
        num_sanity_val_steps=0,
    )


def _saved_states(folder: Path | None, digest: str) -> dict[int, tuple[dict[str, Tensor], dict]]:
    """Return the states that an interrupted job has saved, by the first replica of each state."""
    files = sorted(folder.glob("[0-9]*.safetensors")) if folder else []
    states = [state for file in files if (state := checkpoints.load(file, digest))]
    return {state[1]["replicas"][0]: state for state in states}


def _vectorizing_pays(
    make_learner: Callable[[Sequence[int]], Learner],
    replicas: Sequence[int],
    steps: int,
    batches: Batches,
) -> bool:
    """Return whether to vectorize replicas, each of which will have a number of steps.

    With torch, a few vectorized steps and a few single steps are timed.
    """
    single = make_learner(replicas[:1])
    if single.precision == "float16":
        logger.info("replicas: one after another, since in float16 each has its own loss scale")
        return False
    if single.compiled:
        logger.info("replicas: together, by compiled functions")
        return True
    if steps < WORTH_TIMING:
        logger.info("replicas: one after another, since there are too few steps to time both ways")
        return False
    try:
        vectorized = make_learner(replicas)
        pair = next(batches.epoch(replicas, 0))
        vectorized.step(*pair)  # fails if the replicas cannot be vectorized
    except (RuntimeError, torch.cuda.OutOfMemoryError) as error:
        words = " ".join(str(error).split())[:160]
        logger.info("replicas: one after another, since they cannot be vectorized: %s", words)
        return False
    ratio = _step_time_ratio(vectorized, single, pair)
    pays = ratio < CLEARLY_FASTER
    logger.info(
        "replicas: %s; a vectorized step takes %.2f of the time of single steps",
        "vectorized" if pays else "one after another",
        ratio,
    )
    return pays


def _step_time_ratio(vectorized: Learner, single: Learner, pair: tuple[Tensor, ...]) -> float:
    """Return the time of a vectorized step, divided by the time of single steps of all replicas.

    Vectorized steps and single steps are timed alternately, in three rounds. If the ratio is
    clearly below or above 1 after the first round, there is only one round.
    """

    def seconds(learner: Learner) -> float:
        started = time.perf_counter()
        learner.step(*(tensor[: len(learner.seeds)] for tensor in pair))
        devices.synchronize(learner.device)
        return time.perf_counter() - started

    times = {single: [], vectorized: []}
    seconds(single)  # the first step takes longer and does not count
    for _ in range(3):
        for learner, measured in times.items():
            measured.append(seconds(learner))
        ratio = min(times[vectorized]) / min(times[single]) / len(vectorized.seeds)
        if not 0.5 < ratio < 1.5:
            break
    return ratio


class ReplicaModule(lightning.LightningModule):
    """Trains and validates the learners of a job.

    In each epoch, the learners are trained one after another, and then all learners are validated.
    """

    def __init__(self, learners: Sequence[Learner]):
        super().__init__()
        self.automatic_optimization = False
        self.learners = learners
        self._started = time.monotonic()

    def training_step(self, batch: tuple[int | Tensor, ...], index: int) -> None:
        """Take an optimizer step. `batch` is (number of the learner, images, masks, ...)."""
        number, *tensors = batch
        self.learners[number].step(*tensors)

    def validation_step(self, batch: tuple[Tensor, ...], index: int) -> None:
        """Validate the learners that wait for it with (N, 1, px, px) images and targets."""
        for learner in self._waiting():
            learner.validate(*batch)

    def on_validation_epoch_end(self) -> None:
        """End the epoch of all learners that were validated. Stop training after the last epoch."""
        learners = self._waiting()
        networks = sum(len(learner.seeds) for learner in learners)
        for learner in learners:
            learner.close_epoch((time.monotonic() - self._started) / networks)
        self._started = time.monotonic()
        self.trainer.should_stop = all(learner.done for learner in self.learners)

    def _waiting(self) -> list[Learner]:
        """Return the learners that wait for validation after all training steps of their epoch."""
        return [learner for learner in self.learners if not learner.done and not learner.steps_left]

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Return the learners' optimizers."""
        return [learner.optimizer for learner in self.learners]


class _Yielded(IterableDataset):
    """A data set of the items that a function yields. The function is called in each epoch."""

    def __init__(self, function: Callable[[], Iterator]):
        self._function = function

    def __iter__(self) -> Iterator:
        return self._function()


class ImageDataModule(lightning.LightningDataModule):
    """Forms the images of a job under its imaging condition, and yields batches of images.

    The parameters are those of :func:`train`. `instances` says whether the labels of particles are
    given, too.

    Attributes:
        batches: The training batches of every replica and every epoch.
    """

    def __init__(
        self,
        acquisition: Acquisition,
        splits: tuple[Source, Source],
        condition: Condition | Mixture,
        settings: Training,
        hold: bool = True,
        instances: bool = False,
    ):
        super().__init__()
        train, self._validation = (
            images_under(acquisition, split, condition, hold, instances) for split in splits
        )
        self.batches = Batches(train, settings)
        self._validation_size = VALIDATION_BATCH * settings.batch_size

    def train_dataloader(self) -> DataLoader:
        """Return the training batches that are left in the running epoch, learner by learner.

        An item is (number of the learner, images, masks), and the instances if the loss needs them.
        Images and masks are (R, N, 1, px, px) float32 tensors.
        """
        return DataLoader(_Yielded(self._training_batches), batch_size=None)

    def val_dataloader(self) -> DataLoader:
        """Return the validation batches: (N, 1, px, px) float32 images, and their targets."""
        return DataLoader(_Yielded(self._validation_batches), batch_size=None)

    def _training_batches(self) -> Iterator[tuple[int | Tensor, ...]]:
        learners = self.trainer.lightning_module.learners
        epoch = running_epoch(learners)
        for number, learner in enumerate(learners):
            if learner.done or learner.epoch > epoch:
                continue
            first = learner.steps_per_epoch - learner.steps_left
            for pair in self.batches.epoch(list(learner.seeds), epoch, first):
                yield number, *pair

    def _validation_batches(self) -> Iterator[tuple[Tensor, ...]]:
        for places in torch.arange(len(self._validation)).split(self._validation_size):
            yield self._validation.take(places.numpy())
