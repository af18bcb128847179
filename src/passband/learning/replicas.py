"""Training of a job's networks: the networks' inputs and metadata.

The training loop is in :mod:`passband.learning.training`.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from passband.config import Training
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Structures
from passband.learning import backend, devices, memory, streaming
from passband.learning.deadline import StopCondition
from passband.mixtures import Mixture
from passband.seeds import digest
from passband.storage.weights import CellWeights, WeightsMetadata, as_array
from passband.wave_sets import wave_set


class ReplicaTrainer:
    """Trains networks of one architecture and specimen, under one condition after another.

    Exit waves and images are kept in memory if they fit into it. If only the images do not fit,
    they are formed for each batch. If the exit waves do not fit, they are read for each batch.

    Args:
        splits: The structures for training and for validation, with their files.
        replicas: The largest number of replicas that are trained together.
        host_bytes: The memory of the machine that the job may use [bytes].

    Raises:
        StoreError: If a file is missing or damaged, or has other structures.
        PassbandError: If a batch of images does not fit into memory.
    """

    def __init__(
        self,
        splits: Sequence[Structures],
        architecture: str,
        settings: Training,
        replicas: int,
        host_bytes: float,
        log: Callable[[str], object],
    ):
        self.specimen = splits[0].specimen
        self.architecture = architecture
        self._log = log
        self._waves: str | None = None
        self.device = devices.device()
        self._host_bytes = host_bytes
        self._sets = [structures.sets for structures in splits]
        microscope = splits[0].microscope
        px = microscope.field_px
        self._acquisition = Acquisition.from_microscope(
            microscope, settings.normalisation, self.device
        )
        self._settings = settings
        self._open(next(iter(self._sets[0])))
        available = memory.available_bytes(self.device, host_bytes)
        if self._hold:
            available -= memory.image_bytes(sum(map(len, self._splits)), px)
        if line := backend.hindrance(settings, architecture, self.device):
            log(line)
        self.precision = backend.precision(settings, architecture, self.device)
        self._may_vectorize = memory.fit_to_memory(
            architecture,
            px,
            settings,
            precision=self.precision,
            device=self.device,
            replicas=replicas,
            room=available,
        )
        if self.precision != "float32":
            speedup = devices.speedup(self.precision, self.device)
            log(f"{self.precision}: {speedup:.1f} times as fast as float32")

    def _open(self, waves: str) -> None:
        """Open the set of exit waves with an id, unless it is open already."""
        if self._waves == waves:
            return
        self._waves, self._splits = waves, []  # the memory of the last set is freed
        instances = self._settings.needs_instances(self.architecture)
        stored = [streaming.Stored.open(sets[waves], self.device, instances) for sets in self._sets]
        self._splits, self._hold, line = streaming.choose(stored, self._host_bytes)
        self._log(line)

    def train(
        self,
        condition: Condition | Mixture,
        seeds: Mapping[int, int],
        recipe: str,
        folder: Path,
        stop: StopCondition,
        progress: bool = False,
    ) -> CellWeights:
        """Train networks. If there is a saved state, training continues from the saved state.

        Args:
            condition: The training condition, or the distribution of training conditions.
            seeds: The seed of initial weights and dropout, by replica number. Noise, order and
                augmentation of the images depend on the replica's number and not on the
                architecture.
            recipe: The digest of the networks' recipe, see :mod:`passband.store.recipe`. A saved
                state is valid only for the same seeds on the same kind of device.

        Returns:
            The trained networks and their metadata, without provenance.

        Raises:
            StoppedError: If training is stopped before its end.
        """
        # Lightning takes three seconds to import, and tests of networks do not need it.
        from passband.learning import training

        self._open(wave_set(condition))
        description = {
            "architecture": self.architecture,
            "specimen": self.specimen,
            "condition": condition.id,
            "normalisation": self._settings.normalisation,
            "precision": self.precision,
            "device": devices.describe(self.device),
        }
        trained = training.train(
            self.architecture,
            self._acquisition,
            self._splits,
            condition,
            self._settings,
            seeds,
            together=None if self._may_vectorize else False,
            hold=self._hold,
            folder=folder,
            digest=digest(recipe, dict(seeds), description),
            stop=stop,
            progress=progress,
        )
        for replica, network in trained.items():
            best = network.best
            self._log(f"replica {replica}: val_loss {best.val_loss:.4f}, Dice {best.val_dice:.3f}")
        metadata = WeightsMetadata(
            **description,
            recipe_digest=recipe,
            best={replica: network.best for replica, network in trained.items()},
            history={replica: tuple(network.history) for replica, network in trained.items()},
            vectorized=next(iter(trained.values())).vectorized,
            provenance={},
            code=self._settings.architecture(self.architecture).code,
        )
        weights = {
            replica: {name: as_array(tensor) for name, tensor in network.weights.items()}
            for replica, network in trained.items()
        }
        return CellWeights(weights, metadata)
