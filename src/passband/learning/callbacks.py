"""Lightning callbacks that save the state of a training job, and stop the job after a signal."""

import contextlib
import logging
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import lightning

from passband import log_lines
from passband.learning.deadline import StopCondition, StoppedError
from passband.learning.learner import Learner, running_epoch
from passband.storage import FullError, lease
from passband.store import checkpoints

logger = logging.getLogger("passband")

#: Shortest time between two lines about the epoch in the log of a job [s].
EPOCH_EVERY_S = 10.0


class CheckpointCallback(lightning.Callback):
    """Saves the state of learners at regular intervals, and before it stops training.

    Every learner has its own file, and resumes independently of the other learners. So the files of
    learners that have not changed since the last save are not written again.

    Args:
        folder: The folder for the files of saved states. By default, no state is saved.
        digest: That of everything that the networks depend on.
    """

    def __init__(
        self,
        learners: Sequence[Learner],
        stop: StopCondition,
        folder: Path | None,
        digest: str,
    ):
        self._learners, self._stop = learners, stop
        self._folder = folder
        self._digest = digest
        self._saved = {id(learner): self._progress(learner) for learner in learners}

    @staticmethod
    def _progress(learner: Learner) -> tuple[int, int]:
        return learner.steps, learner.epoch

    def on_train_batch_end(self, *_) -> None:
        # Nothing is saved between an epoch's last step and its validation: if training resumed
        # there, it would have no batch to begin with.
        epoch = running_epoch(self._learners)
        if any(x.epoch == epoch and x.steps_left for x in self._learners if not x.done):
            self.save_or_stop()

    def on_validation_end(self, *_) -> None:
        if not all(learner.done for learner in self._learners):
            self.save_or_stop()

    def save_or_stop(self) -> None:
        """Save the state if a save is due. If the stop condition is fulfilled, save and stop.

        Raises:
            StoppedError: If the stop condition is fulfilled.
            LostError: If another job has taken over the work.
        """
        reason = self._stop.reason_to_stop
        lease.confirm() if reason else lease.check()
        outcome = "nothing is saved"
        if self._folder and (reason or self._stop.time_to_save()):
            outcome = "its state is saved, and the next attempt continues from there"
            for learner in self._learners:
                if self._saved[id(learner)] != self._progress(learner):
                    path = self._folder / f"{min(learner.seeds):03d}.safetensors"
                    try:
                        checkpoints.save(path, self._digest, *learner.state())
                    except FullError as error:
                        # The state is lost only if the job ends while the disk is full.
                        logger.warning("not saved: %s", error)
                        outcome = "its state could not be saved: the disk is full"
                    else:
                        self._saved[id(learner)] = self._progress(learner)
        if reason:
            epochs = self._learners[0].settings.epochs
            epoch = running_epoch(self._learners)
            raise StoppedError(log_lines.stopped(epoch, epochs, reason, outcome))


class EpochCallback(lightning.Callback):
    """Logs now and then how many epochs are done, by which `passband status` knows what is left."""

    def __init__(self, learners: Sequence[Learner]):
        self._learners = learners
        self._logged = time.monotonic()

    def on_validation_end(self, *_) -> None:
        now = time.monotonic()
        if now < self._logged + EPOCH_EVERY_S or all(learner.done for learner in self._learners):
            return
        self._logged = now
        done = sum(learner.epoch for learner in self._learners) // len(self._learners)
        logger.info(log_lines.epoch(done, self._learners[0].settings.epochs))


class SignalCallback(lightning.Callback):
    """Converts SIGTERM and Ctrl-C into a request to stop training.

    A scheduler sends SIGTERM to a job before it kills the job.
    """

    _SIGNALS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self, stop: StopCondition):
        self._stop, self._signal, self._listening = stop, "", False

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Return a context in which the two signals are handled; it begins before training starts.

        If the job has lost its lease and has received a signal, the signal is raised again at the
        end of the context, with the handlers of before. So the job ends without a save. Only the
        main thread can handle signals. In another thread, the context has no effect.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in self._SIGNALS}
        self._listening, lost = True, False
        self._install()
        try:
            yield
        except lease.LostError:
            lost = True
            raise
        finally:
            self._listening = False
            for number, handler in before.items():
                signal.signal(number, handler)
            if lost and self._signal:
                signal.raise_signal(signal.Signals[self._signal])

    def on_train_start(self, *_) -> None:
        # Lightning has just installed its own handler for SIGTERM, which stops without a save.
        if self._listening:
            self._install()

    def _install(self) -> None:
        for number in self._SIGNALS:
            signal.signal(number, self._handle)

    def _handle(self, number: int, _) -> None:
        self._signal = signal.Signals(number).name
        self._stop.request(self._signal)
