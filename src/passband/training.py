"""Training a job's networks on one specimen under one condition, with Lightning as the loop."""

import contextlib
import logging
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import lightning
import torch
from lightning.pytorch.plugins.environments import LightningEnvironment
from torch import Tensor

from passband import PassbandError, checkpoints, devices
from passband.batches import Batches, Images
from passband.config import Training
from passband.examples import Camera
from passband.grid import Condition
from passband.learner import Learner, Trained
from passband.sources import Source
from passband.store import FullError

logger = logging.getLogger("passband")

#: Stacked steps must take less than this, over as many steps one after another.
CLEARLY_FASTER = 0.85
#: Steps of a network below which nothing is timed: it would take longer than it could save.
WORTH_TIMING = 60
#: Steps of a network from which on `compile: auto` compiles on a GPU: it takes a minute.
WORTH_COMPILING = 5000


class StoppedError(PassbandError):
    """Training stopped before its end. Its state is saved, and the same call goes on from there."""


class Clock:
    """When to save, and when to stop: at a deadline, or when SIGTERM or Ctrl-C asks for it.

    Parameters
    ----------
    save_every : float
        Seconds between saves.
    budget : float, optional
        Seconds after which to stop.
    """

    _SIGNALS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self, save_every: float = 120.0, budget: float | None = None):
        self._save_every, self._saved = save_every, time.monotonic()
        self._deadline = None if budget is None else time.monotonic() + budget
        self._signal, self._listening = "", False

    @property
    def reason_to_stop(self) -> str:
        """Why training must stop now, or nothing."""
        if self._signal:
            return self._signal
        over = self._deadline is not None and time.monotonic() > self._deadline
        return "its time being up" if over else ""

    def time_to_save(self) -> bool:
        """Whether a save is due; then the next one is so much later."""
        due = time.monotonic() - self._saved >= self._save_every
        if due:
            self._saved = time.monotonic()
        return due

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Take SIGTERM, which schedulers send before they kill, and Ctrl-C for a wish to save and
        stop."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in self._SIGNALS}
        self._listening = True
        self.listen()
        try:
            yield
        finally:
            self._listening = False
            for number, handler in before.items():
                signal.signal(number, handler)

    def listen(self) -> None:
        """While :meth:`listening`, take the signals back from whoever has taken them since."""
        if self._listening:
            for number in self._SIGNALS:
                signal.signal(number, self._hear)

    def _hear(self, number: int, _) -> None:
        self._signal = signal.Signals(number).name


class Loop(lightning.LightningModule):
    """What Lightning runs: batches of one learner after another, then validation of them all.

    Parameters
    ----------
    learners : sequence of Learner
        Which train; each has networks and an optimizer of its own.
    """

    def __init__(self, learners: Sequence[Learner]):
        super().__init__()
        self.automatic_optimization = False  # a job has several optimizers
        self.learners = learners
        self._started = time.monotonic()

    def training_step(self, batch: tuple[int, Tensor, Tensor], index: int) -> None:
        which, images, masks = batch
        self.learners[which].step(images, masks)

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        for learner in self._awaiting():
            learner.validate(*batch)

    def on_validation_epoch_end(self) -> None:
        learners = self._awaiting()
        networks = sum(learner.running for learner in learners)
        for learner in learners:
            learner.close_epoch((time.monotonic() - self._started) / networks)
        self._started = time.monotonic()
        self.trainer.should_stop = all(learner.done for learner in self.learners)

    def _awaiting(self) -> list[Learner]:
        return [learner for learner in self.learners if not learner.done and not learner.steps_left]

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        return [learner.optimizer for learner in self.learners]


class _Feed:
    """What is left of the running epoch: batches of each learner that is still in it."""

    def __init__(self, learners: Sequence[Learner], batches: Batches):
        self._learners, self._batches = learners, batches

    def __iter__(self) -> Iterator[tuple[int, Tensor, Tensor]]:
        epoch = running_epoch(self._learners)
        for which, learner in enumerate(self._learners):
            if learner.done or learner.epoch > epoch:
                continue
            first = learner.steps_per_epoch - learner.steps_left
            for pair in self._batches.epoch(list(learner.seeds.values()), epoch, first):
                yield which, *pair


class _HeldOut:
    """The validation images in batches."""

    def __init__(self, images: Images, size: int):
        self._images, self._size = images, size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for places in torch.arange(len(self._images)).split(self._size):
            yield self._images.take(places.numpy())


def running_epoch(learners: Sequence[Learner]) -> int:
    """Return the epoch that the learner furthest behind is in."""
    return min(learner.epoch for learner in learners if not learner.done)


class Keeper(lightning.Callback):
    """Saves the state of learners at a steady interval, and stops training when its time is up.

    Every learner has a file of its own and goes on from there on its own, so that one save writes
    no more than what has changed.

    Parameters
    ----------
    learners : sequence of Learner
        Whose state.
    clock : Clock
        When to save and to stop.
    folder : path, optional
        Where; without it nothing is saved.
    context : str
        Digest of all that the networks depend on.
    """

    def __init__(
        self, learners: Sequence[Learner], clock: Clock, folder: Path | None, context: str
    ):
        self._learners, self._clock = learners, clock
        self._folder, self._context = folder, context
        self._saved = {id(learner): self._at(learner) for learner in learners}

    @staticmethod
    def _at(learner: Learner) -> tuple[int, int]:
        return learner.steps, learner.epoch

    def on_train_start(self, *_) -> None:
        # Lightning has just taken SIGTERM, for which it would stop without a save.
        self._clock.listen()

    def on_train_batch_end(self, *_) -> None:
        # Between an epoch's last step and its validation nothing is saved: there would be no batch
        # left for Lightning to begin with.
        epoch = running_epoch(self._learners)
        if any(x.epoch == epoch and x.steps_left for x in self._learners if not x.done):
            self.tick()

    def on_validation_end(self, *_) -> None:
        if not all(learner.done for learner in self._learners):
            self.tick()

    def tick(self) -> None:
        """Save if it is time; stop if time is up."""
        reason = self._clock.reason_to_stop
        kept = "its state is saved, and the next attempt goes on from there"
        if self._folder and (reason or self._clock.time_to_save()):
            for learner in self._learners:
                if self._saved[id(learner)] != self._at(learner):
                    path = self._folder / f"{min(learner.seeds):03d}.safetensors"
                    try:
                        checkpoints.save(path, self._context, *learner.state())
                    except FullError as error:
                        # What is not saved is only lost if the job ends before there is room.
                        logger.warning("not saved: %s", error)
                        kept = "its state could not be saved, for the disk is full"
                    else:
                        self._saved[id(learner)] = self._at(learner)
        if reason:
            epochs = self._learners[0].settings.epochs
            raise StoppedError(
                f"stopped in epoch {running_epoch(self._learners) + 1} of {epochs} for "
                f"{reason}; {kept if self._folder else 'nothing is kept'}"
            )


def train(
    architecture: str,
    camera: Camera,
    splits: tuple[Source, Source],
    condition: Condition,
    settings: Training,
    seeds: Mapping[int, int],
    *,
    hold: bool = True,
    unfinished: Path | None = None,
    context: str = "",
    clock: Clock | None = None,
    progress: bool = False,
) -> dict[int, Trained]:
    """Train a job's replicas of one network.

    Parameters
    ----------
    architecture : str
        The networks' architecture by name.
    camera : Camera
        Takes the images, once for all replicas.
    splits : (Source, Source)
        Structures to train on, and structures to choose the best epoch by.
    condition : Condition
        The imaging condition of both.
    settings : Training
        The configuration's block `training`.
    seeds : mapping of int to int
        Of each replica, the seed of initial weights, order, augmentation and dropout. Same seed,
        same kind of device and same number of threads give the same network, to the last bit if it
        is trained alone or one after another with others, and but for rounding if it is stacked
        with others; the images' noise does not depend on it.
    hold : bool
        Whether to keep a draw's images in memory, or to form those of every batch; see
        :func:`passband.sources.choose`. It changes nothing else.
    unfinished : path, optional
        Folder to save the state of training in, and to go on from.
    context : str
        Digest of all that the networks depend on; a state of another context is removed.
    clock : Clock, optional
        When to save and when to stop.
    progress : bool
        Whether to draw a progress bar.

    Returns
    -------
    dict of int to Trained
        By replica, in the order of `seeds`.

    Raises
    ------
    StoppedError
        If the clock, SIGTERM or Ctrl-C stopped it.
    """
    device, clock = camera.imager.device, clock or Clock(settings.save_every_s)
    images, held_out = (Images(camera, split, condition, hold) for split in splits)
    batches = Batches(images, settings)

    def learner(replicas: Sequence[int]) -> Learner:
        some = {replica: seeds[replica] for replica in replicas}
        return Learner(architecture, some, settings, len(batches), device)

    # Dropout draws from torch's global generator, and stacking is timed with it too.
    with torch.random.fork_rng(), clock.listening():
        found = _left(unfinished, context)
        if found:
            together = any(len(progress["replicas"]) > 1 for _, progress in found.values())
        else:
            together = _stacking_pays(learner, list(seeds), settings, batches)
        groups = [list(seeds)] if together else [[replica] for replica in seeds]
        learners = [learner(group) for group in groups]
        for each in learners:
            if min(each.seeds) in found:
                each.restore(*found[min(each.seeds)])
                logger.info("%s: goes on after %d steps", each.name, each.steps)
            if _compiles(settings, device, each.settings.epochs * len(batches)):
                each.networks.compile()
        if not all(each.done for each in learners):
            keeper = Keeper(learners, clock, unfinished, context)
            _fit(learners, batches, _HeldOut(held_out, 4 * settings.batch_size), keeper, progress)
    return {r: trained for each in learners for r, trained in each.trained().items()}


def _left(folder: Path | None, context: str) -> dict[int, tuple[dict[str, Tensor], dict]]:
    """Return the states that an interrupted job left, by their first replica."""
    files = sorted(folder.glob("[0-9]*.safetensors")) if folder else []
    states = [state for file in files if (state := checkpoints.load(file, context))]
    return {state[1]["replicas"][0]: state for state in states}


def _stacking_pays(
    learner: Callable[[Sequence[int]], Learner],
    replicas: Sequence[int],
    settings: Training,
    batches: Batches,
) -> bool:
    """Choose whether to stack replicas, by timing a few steps of both where that is worth it."""
    if len(replicas) == 1 or settings.replicas_together == "never":
        return False
    one = learner(replicas[:1])
    if one.precision == "float16":
        logger.info("replicas: one after another, since in float16 each has a scale of its own")
        return False
    if settings.replicas_together == "auto" and settings.epochs * len(batches) < WORTH_TIMING:
        logger.info("replicas: one after another, since so few steps are not worth timing")
        return False
    try:
        stack = learner(replicas)
        pair = next(batches.epoch(list(stack.seeds.values()), 0))
        stack.step(*pair)  # the first step sets up, and says whether it can be done at all
    except (RuntimeError, torch.cuda.OutOfMemoryError) as error:
        words = " ".join(str(error).split())[:160]
        if settings.replicas_together == "always":
            raise PassbandError(
                "training.replicas_together = 'always': these replicas cannot be stacked; take "
                f"'auto' or 'never': {words}"
            ) from None
        logger.info("replicas: one after another, since they cannot be stacked: %s", words)
        return False
    if settings.replicas_together == "always":
        return True
    ratio = _ratio(stack, one, pair)
    pays = ratio < CLEARLY_FASTER
    logger.info(
        "replicas: %s; stacked steps take %.2f of the time",
        "stacked" if pays else "one after another",
        ratio,
    )
    return pays


def _ratio(stack: Learner, one: Learner, pair: tuple[Tensor, Tensor], rounds: int = 3) -> float:
    """Return the time of a stacked step over that of as many steps one after another.

    Steps are timed in turns, and fewer if the answer is clear.
    """

    def seconds(learner: Learner) -> float:
        started = time.perf_counter()
        learner.step(*(part[: len(learner.seeds)] for part in pair))
        devices.synchronize(learner.device)
        return time.perf_counter() - started

    times = {one: [], stack: []}
    seconds(one)  # sets up
    for _ in range(rounds):
        for learner, taken in times.items():
            taken.append(seconds(learner))
        ratio = min(times[stack]) / min(times[one]) / len(stack.seeds)
        if not 0.5 < ratio < 1.5:
            break
    return ratio


def _compiles(settings: Training, device: torch.device, steps: int) -> bool:
    if settings.compile == "auto":
        return device.type == "cuda" and steps >= WORTH_COMPILING
    return settings.compile == "always"


def _fit(
    learners: Sequence[Learner],
    batches: Batches,
    held_out: _HeldOut,
    keeper: Keeper,
    progress: bool,
) -> None:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    device = learners[0].device
    trainer = lightning.Trainer(
        max_epochs=learners[0].settings.epochs - running_epoch(learners),
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=1,
        # Under SLURM, Lightning would requeue the job itself and compete with Snakemake's retries.
        plugins=[LightningEnvironment()],
        callbacks=[keeper],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=progress,
        num_sanity_val_steps=0,
    )
    with warnings.catch_warnings():
        # The batches lie in memory already: worker processes would only copy them.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        # Jobs are started by Snakemake, which needs no srun around its Python.
        warnings.filterwarnings("ignore", message=".*`srun` command is available.*")
        trainer.fit(Loop(learners), _Feed(learners, batches), held_out)
