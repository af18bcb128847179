"""The LightningDataModule of a job: its training and validation batches."""

from collections.abc import Callable, Iterator

import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from passband.config import Training
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.learning.batches import Batches, images_under
from passband.learning.learner import running_epoch
from passband.learning.streaming import Source
from passband.mixtures import Mixture

#: Number of images in a validation batch, divided by the number of images in a training batch.
#: Validation batches can be larger, since validation keeps no activations for gradients.
VALIDATION_BATCH = 4


class _Yielded(IterableDataset):
    """A data set of the items that a function yields. The function is called in each epoch."""

    def __init__(self, function: Callable[[], Iterator]):
        self._function = function

    def __iter__(self) -> Iterator:
        return self._function()


class ImageDataModule(lightning.LightningDataModule):
    """Forms the images of a job under its imaging condition, and yields batches of images.

    A data loader yields whole batches, since the images of a batch are formed together. The data
    loader starts no worker processes: these would only copy images that are in memory already.

    Args:
        acquisition: Forms the noise-free images once for all replicas, and draws the noise for each
            replica.
        splits: Structures for training, and structures for validation.
        condition: The imaging condition of all images, or the distribution of the conditions of
            single images.
        settings: Batch size, noise and augmentation.
        hold: Whether to keep noise-free images in memory, see
            :class:`passband.learning.batches.Images`.

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
    ):
        super().__init__()
        train, self._validation = (
            images_under(acquisition, split, condition, hold) for split in splits
        )
        self.batches = Batches(train, settings)
        self._validation_size = VALIDATION_BATCH * settings.batch_size

    def train_dataloader(self) -> DataLoader:
        """Return the training batches that are left in the running epoch, learner by learner.

        An item is (number of the learner, images, masks). Images and masks are (R, N, 1, px, px)
        float32 tensors.
        """
        return DataLoader(_Yielded(self._training_batches), batch_size=None)

    def val_dataloader(self) -> DataLoader:
        """Return the validation batches: (N, 1, px, px) float32 images and masks."""
        return DataLoader(_Yielded(self._validation_batches), batch_size=None)

    def _training_batches(self) -> Iterator[tuple[int, Tensor, Tensor]]:
        learners = self.trainer.lightning_module.learners
        epoch = running_epoch(learners)
        for number, learner in enumerate(learners):
            if learner.done or learner.epoch > epoch:
                continue
            first = learner.steps_per_epoch - learner.steps_left
            for pair in self.batches.epoch(list(learner.seeds), epoch, first):
                yield number, *pair

    def _validation_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        for places in torch.arange(len(self._validation)).split(self._validation_size):
            yield self._validation.take(places.numpy())
