"""Digests of everything that networks and their results depend on, computed without torch.

A network's own key is its specimen, its architecture, its training condition and its replica. A
context is a digest of everything else that the network depends on. Files of networks and records
store the context of the replicas that one job trained or tested together. So a later job with other
replicas or conditions recognises the results of an earlier job.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from passband.seeds import digest, seed
from passband.storage.weights import WeightsMetadata

#: The setting that does not change a network that is trained alone.
_TOGETHER, _TOGETHER_VALUES = "replicas_together", ("auto", "always", "never")

#: Kinds of CPU, in the words of :func:`passband.learning.devices.describe`.
_CPUS = tuple(f"cpu ({name})" for name in ("DEFAULT", "AVX2", "AVX512"))


@dataclass(frozen=True)
class NetworkContexts:
    """Contexts of the networks of one specimen and architecture.

    Attributes:
        versions: The version of the stage `train` for each training condition of the job, by its
            id.
        microscope, training: The params of the rule `train` with these names.
        splits: For each training condition of the job, by its id, the digests of the structures for
            training and for validation, see
            :meth:`passband.imaging.structures.Structures.digest_of`.
        together: The study's value of `training.replicas_together`. If a job has one replica, the
            params do not have this value.
    """

    specimen: str
    architecture: str
    versions: Mapping[str, str]
    microscope: Mapping
    training: Mapping
    study_seed: int
    splits: Mapping[str, Sequence[str]]
    together: str = "auto"

    def seeds(self, condition: str, replicas: Iterable[int]) -> dict[int, int]:
        """Return the seed of initial weights and dropout of each replica."""
        cell = self.specimen, self.architecture, condition
        return {replica: seed(self.study_seed, *cell, replica) for replica in replicas}

    def context(
        self, condition: str, replicas: Iterable[int], training: Mapping | None = None
    ) -> str:
        """Return the digest of everything that a job's replicas of a condition depend on.

        The digest does not depend on the device, so that finished networks stay valid on another
        device.

        Args:
            condition: Id of the training condition.
            replicas: All replicas that the job trains under this condition.
            training: Values in place of those of :attr:`training`.
        """
        settings = self.training if training is None else training
        cell = self.specimen, self.architecture, condition
        seeds = self.seeds(condition, replicas)
        version = self.versions[condition]
        return digest(version, self.microscope, settings, cell, seeds, list(self.splits[condition]))

    def accepts(self, metadata: WeightsMetadata) -> bool:
        """Return whether a job of this study would train the networks of a file in the same way.

        The file may be that of a job with other replicas. A network that is alone in a file does
        not depend on `training.replicas_together`.
        """
        if (metadata.specimen, metadata.architecture) != (self.specimen, self.architecture):
            return False
        if metadata.condition not in self.versions:
            return False
        replicas = list(metadata.best)
        without = {key: value for key, value in self.training.items() if key != _TOGETHER}
        own = self.training.get(_TOGETHER, self.together)
        values = _TOGETHER_VALUES if len(replicas) == 1 else (own,)
        settings = [without] * (len(replicas) == 1) + [without | {_TOGETHER: v} for v in values]
        found = (self.context(metadata.condition, replicas, each) for each in settings)
        return metadata.context in found


def record_contexts(
    params: Sequence[object],
    metadata: WeightsMetadata,
    networks_digest: str,
    splits: Mapping[str, str],
    device: str | None,
) -> dict[str, str]:
    """Return the digests of everything that the counts depend on, by the names of `splits`.

    Args:
        params: Further values that the digest includes.
        networks_digest: The fingerprint of the networks' weights.
        splits: The digest of the test structures, see
            :func:`passband.imaging.structures.digests_of_specimens`.
        device: The kind of device, from :func:`passband.learning.devices.describe`. With None, the
            digest is the same on all kinds of device. The counts of two kinds of device differ by
            rounding, and by the random numbers of the noise.
    """
    training = {
        key: getattr(metadata, key) for key in ("architecture", "normalisation", "precision")
    }
    common = [*params, training, *([] if device is None else [device])]
    return {specimen: digest(common, networks_digest, split) for specimen, split in splits.items()}


def usual_devices(metadata: WeightsMetadata) -> list[str]:
    """Return the kinds of device on which earlier jobs probably tested the networks."""
    return list(dict.fromkeys([metadata.device, *_CPUS]))
