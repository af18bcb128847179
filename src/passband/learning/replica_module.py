"""The LightningModule of a job: it trains and validates the job's replicas."""

import time
from collections.abc import Sequence

import lightning
import torch
from torch import Tensor

from passband.learning.learner import Learner


class ReplicaModule(lightning.LightningModule):
    """Trains and validates the learners of a job.

    In each epoch, the learners are trained one after another, and then all learners are validated.
    Optimization is what Lightning calls manual, since a job has an optimizer for each learner.

    Args:
        learners: The learners. Each learner has its own networks and its own optimizer.
    """

    def __init__(self, learners: Sequence[Learner]):
        super().__init__()
        self.automatic_optimization = False
        self.learners = learners
        self._started = time.monotonic()

    def training_step(self, batch: tuple[int, Tensor, Tensor], index: int) -> None:
        """Take an optimizer step. `batch` is (number of the learner, images, masks)."""
        number, images, masks = batch
        self.learners[number].step(images, masks)

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        """Validate the learners that wait for it with (N, 1, px, px) images and masks."""
        for learner in self._waiting():
            learner.validate(*batch)

    def on_validation_epoch_end(self) -> None:
        """End the epoch of all learners that were validated. Stop training after the last epoch."""
        learners = self._waiting()
        networks = sum(learner.running for learner in learners)
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
