"""Training and evaluation of one job's networks: the networks' inputs, digests and metadata.

The training loop is in :mod:`passband.learning.training`, and the loop over test conditions is in
:mod:`passband.learning.evaluation`.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import xarray as xr
from torch import Tensor, nn

from passband.config import Microscope, Training
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.splits import Split
from passband.learning import (
    compact,
    devices,
    evaluation,
    memory,
    memory_request,
    networks,
    streaming,
    training,
)
from passband.learning.deadline import StopCondition
from passband.learning.learner import Trained
from passband.seeds import digest, seed
from passband.storage.weights import WeightsMetadata, fingerprint


@dataclass(frozen=True)
class ReplicaJob:
    """Replicas of one architecture that are trained on one specimen under one imaging condition.

    Attributes
    ----------
    specimen, architecture, condition : str
        Name of the specimen, name of the architecture, and id of the training condition.
    microscope : Microscope
        The study's microscope.
    settings : Training
        The block `training` of the configuration.
    seeds : dict of int to int
        The seed of initial weights and dropout, by replica number. Noise, order and augmentation of
        the images depend on the replica's number and not on the architecture.
    splits : tuple of Stored
        Structures for training, and structures for validation, which chooses the best epoch.
    device : torch.device
        The device that trains.
    """

    specimen: str
    architecture: str
    condition: str
    microscope: Microscope
    settings: Training
    seeds: dict[int, int]
    splits: tuple[streaming.Stored, streaming.Stored]
    device: torch.device

    @classmethod
    def open(
        cls,
        cell: tuple[str, str, str],
        microscope: Microscope,
        settings: Training,
        study_seed: int,
        replicas: Sequence[int],
        files: Mapping[str, Sequence[str]],
    ) -> "ReplicaJob":
        """Return the job after its files of exit waves are opened.

        The exit waves are not read into memory.

        Parameters
        ----------
        cell : tuple of str
            Specimen, architecture and condition id.
        microscope, settings
            See the attributes of :class:`ReplicaJob`.
        study_seed : int
            The study's seed.
        replicas : sequence of int
            Numbers of the replicas.
        files : mapping of str to sequence of str
            Files of exit waves, for the splits `train` and `val`.

        Raises
        ------
        StoreError
            If a file is missing or damaged, or has other structures.
        """
        device = devices.device()
        splits = tuple(
            streaming.Stored.open(files[split], (study_seed, cell[0], split), microscope, device)
            for split in ("train", "val")
        )
        seeds = {replica: seed(study_seed, *cell, replica) for replica in replicas}
        return cls(*cell, microscope, settings, seeds, splits, device)

    def context(self, *params: object) -> str:
        """Return the digest of `params` and of everything else that the networks depend on.

        The digest does not depend on the device, so that finished networks stay valid on another
        device.
        """
        cell = self.specimen, self.architecture, self.condition
        return digest(*params, cell, self.seeds, [split.digest for split in self.splits])

    def train(
        self,
        context: str,
        host_bytes: float,
        folder: Path,
        stop: StopCondition,
        log: Callable[[str], object],
        progress: bool = False,
    ) -> tuple[dict[int, Trained], dict[str, str]]:
        """Train the networks. If there is a saved state, training continues from the saved state.

        Exit waves and images are kept in memory if they fit into it. If only the images do not fit,
        they are formed for each batch. If the exit waves do not fit, they are read for each batch.

        Parameters
        ----------
        context : str
            The digest from :meth:`context`. A saved state is valid only on the same kind of device.
        host_bytes : float
            The memory of the machine that the job may use [bytes].
        folder : path
            The folder of saved states.
        stop : StopCondition
            Decides when the state is saved and when training stops.
        log : callable
            Receives lines of text for the log.
        progress : bool
            Whether to draw a progress bar.

        Returns
        -------
        dict of int to Trained, dict of str to str
            The trained networks by replica, and the metadata that is the same for all networks.

        Raises
        ------
        PassbandError
            If a batch of images does not fit into memory.
        StoppedError
            If training is stopped before its end.
        """
        px = self.microscope.field_px
        acquisition = Acquisition.from_microscope(
            self.microscope, self.settings.normalisation, self.device
        )
        splits, hold, line = streaming.choose(self.splits, px, host_bytes)
        log(line)
        available = memory.available_bytes(self.device, host_bytes)
        if hold:
            available -= memory_request.image_bytes(sum(map(len, splits)), px)
        settings = memory.fit_to_memory(
            self.architecture, px, self.settings, self.device, len(self.seeds), available
        )
        precision = compact.precision(settings.precision, self.architecture, self.device)
        if precision != "float32":
            speedup = devices.speedup(precision, self.device)
            log(f"{precision}: {speedup:.1f} times as fast as float32")
        description = {
            "architecture": self.architecture,
            "specimen": self.specimen,
            "condition": self.condition,
            "normalisation": settings.normalisation,
            "precision": precision,
            "device": devices.describe(self.device),
        }
        trained = training.train(
            self.architecture,
            acquisition,
            splits,
            Condition.parse(self.condition),
            settings,
            self.seeds,
            hold=hold,
            folder=folder,
            context=digest(context, description),
            stop=stop,
            progress=progress,
        )
        for replica, network in trained.items():
            best = network.best
            log(f"replica {replica}: val_loss {best.val_loss:.4f}, Dice {best.val_dice:.3f}")
        return trained, description


def metadata(
    trained: Mapping[int, Trained],
    description: Mapping[str, str],
    context: str,
    provenance: Mapping[str, str],
) -> WeightsMetadata:
    """Return the metadata for a file of trained networks.

    Parameters
    ----------
    trained, description
        The results of :meth:`ReplicaJob.train`.
    context : str
        The result of :meth:`ReplicaJob.context`.
    provenance : mapping of str to str
        The origin of the networks, such as version, study and time.
    """
    return WeightsMetadata(
        **description,
        context=context,
        best={replica: network.best for replica, network in trained.items()},
        history={replica: tuple(network.history) for replica, network in trained.items()},
        vectorized=next(iter(trained.values())).vectorized,
        provenance=dict(provenance),
    )


def load_test_splits(
    waves: Mapping[str, Sequence[str]],
    study_seed: int,
    microscope: Microscope,
    device: torch.device,
    structures: int | None = None,
) -> dict[str, Split]:
    """Return the test structures of each specimen, in memory.

    Parameters
    ----------
    waves : mapping of str to sequence of str
        The files of the test structures, by specimen.
    study_seed, microscope, device
        See :meth:`passband.imaging.splits.Split.load`, also for the errors.
    structures : int, optional
        Maximum number of structures of each specimen. The first structures of each specimen are
        used.
    """
    splits = {
        specimen: Split.load(files, (study_seed, specimen, "test"), microscope, device)
        for specimen, files in waves.items()
    }
    if structures is None:
        return splits
    return {specimen: split.first(structures) for specimen, split in splits.items()}


def load_first_network(
    template: str, cell: tuple[str, str, str], files: Collection[str]
) -> nn.Module | None:
    """Return the first replica in a file of networks, or None if the file is not in `files`.

    Parameters
    ----------
    template : str
        Path of the file of networks, with wildcards.
    cell : tuple of str
        Specimen, architecture and condition id.
    files : collection of str
        Paths of the files that exist.

    Raises
    ------
    StoreError
        If the file of networks is damaged or has other networks.
    """
    expected = dict(zip(("specimen", "architecture", "condition"), cell, strict=True))
    path = template.format(**expected)
    if path not in files:
        return None
    weights, metadata = networks.load(path, expected)
    return networks.restore(metadata.architecture, next(iter(weights.values())))


@dataclass(frozen=True)
class TrainedReplicas:
    """The trained networks of one job, and the test structures of all specimens.

    Attributes
    ----------
    weights : dict of int to dict of str to Tensor
        The weights of each replica.
    metadata : WeightsMetadata
        The metadata of the file of networks.
    microscope : Microscope
        The study's microscope.
    splits : dict of str to Split
        The test structures by specimen, in memory.
    device : torch.device
        The device that evaluates.
    """

    weights: dict[int, dict[str, Tensor]]
    metadata: WeightsMetadata
    microscope: Microscope
    splits: dict[str, Split]
    device: torch.device

    @classmethod
    def load(
        cls,
        file: str,
        cell: Mapping[str, str],
        microscope: Microscope,
        study_seed: int,
        waves: Mapping[str, Sequence[str]],
    ) -> "TrainedReplicas":
        """Read networks and test structures.

        Parameters
        ----------
        file : str
            The file of networks.
        cell : mapping of str to str
            Specimen, architecture and condition of the networks.
        microscope : Microscope
            The study's microscope.
        study_seed : int
            The study's seed.
        waves : mapping of str to sequence of str
            The files of the test structures, by specimen.

        Raises
        ------
        StoreError
            If a file is missing or damaged, or has other networks or structures.
        """
        weights, metadata = networks.load(file, cell)
        device = devices.device()
        splits = load_test_splits(waves, study_seed, microscope, device)
        return cls(weights, metadata, microscope, splits, device)

    def contexts(self, *params: object, any_device: bool = False) -> dict[str, str]:
        """Return, for each test specimen, the digest of everything that the counts depend on.

        Parameters
        ----------
        *params
            Further values that the digest includes, in addition to the networks and the structures.
        any_device : bool
            Whether the digest is the same on all kinds of device. The counts of two kinds of device
            differ by rounding, and by the random numbers of the noise.
        """
        training = {
            key: getattr(self.metadata, key)
            for key in ("architecture", "normalisation", "precision")
        }
        common = [*params, training, *([] if any_device else [devices.describe(self.device)])]
        networks_digest = fingerprint(self.weights)
        return {
            specimen: digest(common, networks_digest, split.digest)
            for specimen, split in self.splits.items()
        }

    def evaluate(
        self,
        conditions: Sequence[Condition],
        batch_size: int,
        known: xr.Dataset | None = None,
        progress: Callable[[Iterable], Iterable] = iter,
    ) -> xr.Dataset:
        """Return the record of the networks: counts of pixels under all test conditions.

        Parameters
        ----------
        conditions, batch_size, known, progress
            See :func:`passband.learning.evaluation.evaluate`.

        Returns
        -------
        Dataset
            The result of :func:`passband.learning.evaluation.evaluate`, with `val_loss` and
            `best_epoch` of each replica.
        """
        record = evaluation.evaluate(
            {
                replica: networks.restore(self.metadata.architecture, state)
                for replica, state in self.weights.items()
            },
            Acquisition.from_microscope(self.microscope, self.metadata.normalisation, self.device),
            self.splits,
            conditions,
            batch_size,
            self.metadata.precision,
            known,
            progress,
        )
        best = [self.metadata.best[replica] for replica in self.weights]
        record["val_loss"] = ("replica", [epoch.val_loss for epoch in best])
        record["best_epoch"] = ("replica", [epoch.epoch for epoch in best])
        return record
