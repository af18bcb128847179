"""Bytes of the files that a study writes, from a shard, the weights of a network and a record."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from passband.config import Study
from passband.runs.counts import count, structures
from passband.scores import OUTCOMES

if TYPE_CHECKING:
    import xarray as xr

#: Bytes of what hardly grows with the study, such as metadata of stores. This and what follows was
#: measured on the demo and on the smallest study.
_REST = 800_000
#: Bytes of figures and pages for each pixel of an image, which most of them show, and the largest
#: number of pixels for which they have room.
_FIGURES = 320
_MOST_PX = 128**2
#: Bytes of what is stored with the weights of a job's networks of one training condition.
_TRAINING = 16_000
#: Bytes of the log and the benchmark of a job.
_JOB = 500
#: Bytes of the metrics of a training condition's networks under a test condition.
_PAIR = 500
#: The largest number of values in the record that is measured.
_MOST_VALUES = 1_000_000


@dataclass(frozen=True)
class FileSizes:
    """Bytes of the files that grow with a study.

    Attributes:
        structure: Of a structure in a shard, for each specimen.
        shard: Of a shard besides its structures.
        weights: Of the weights of a network, for each architecture.
        image: Of a tested image in a record, for each network.
        record: Of a record besides its images.
    """

    structure: Mapping[str, float]
    shard: float
    weights: Mapping[str, float]
    image: float
    record: float

    def total(self, study: Study) -> float:
        """Return the bytes that a study writes."""
        counted = count(study)
        shards = sum(structures(study, name) * size for name, size in self.structure.items())
        shards += counted.jobs["simulate"] * self.shard
        networks = counted.networks * sum(self.weights.values()) / len(self.weights)
        networks += counted.trainings * _TRAINING
        images = counted.networks * counted.tested_on
        # The table has the counts of all records again.
        records = 2 * images * self.image + counted.jobs["evaluate"] * self.record
        pairs = counted.cells * len(study.specimens) * study.test_number
        jobs = sum(counted.jobs.values())
        figures = min(study.microscope.field_px**2, _MOST_PX) * _FIGURES
        return shards + networks + records + pairs * _PAIR + jobs * _JOB + figures + _REST


def measured(study: Study, waves: "xr.Dataset") -> FileSizes:
    """Return the bytes of files, of which a shard and a record are written.

    Args:
        waves: Exit waves of some structures of one specimen. Those of the others are compressed by
            as much.
    """
    from passband.storage import datasets

    structure, shard = _of_each_structure(study, waves, datasets.WAVES, {"structure": 1})
    share = structure / _uncompressed(study)[waves.attrs["specimen"]]
    return _with_shards(study, share, shard)


def at_most(study: Study) -> FileSizes:
    """Return the bytes of files with uncompressed shards, for which nothing is simulated."""
    return _with_shards(study, 1.0)


def _with_shards(study: Study, share: float, shard: float | None = None) -> FileSizes:
    """Return the bytes of files.

    Args:
        share: What compression leaves of a structure in a shard.
        shard: Of a shard besides its structures; by default, that of a record, since both have
            little beside the study's configuration.
    """
    image, record = _of_record(study)
    return FileSizes(
        structure={name: share * size for name, size in _uncompressed(study).items()},
        shard=record if shard is None else shard,
        weights=_of_weights(study),
        image=image,
        record=record,
    )


def _uncompressed(study: Study) -> dict[str, float]:
    """Return the bytes of a structure of each specimen, without compression.

    These are waves in complex64, a mask, and the particles' numbers on both faces of the substrate.
    """
    px = study.microscope.field_px
    cropped = study.microscope.wave_sampling.cropped
    return {
        name: 8.0 * specimen.thermal.configurations * cropped**2 + 3 * px**2
        for name, specimen in study.specimens.items()
    }


def _of_weights(study: Study) -> dict[str, float]:
    import torch

    from passband.learning import networks

    found = {}
    for name in study.training.architectures:
        with torch.device("meta"):
            tensors = networks.build(study.training.architecture(name)).state_dict().values()
        found[name] = float(sum(tensor.nbytes for tensor in tensors))
    return found


def _of_record(study: Study) -> tuple[float, float]:
    """Return the bytes of a tested image in a record, and those of the rest of the record.

    The counts of pixels are random, which can be compressed as little as those of networks.
    """
    import numpy as np
    import xarray as xr

    from passband.storage import datasets

    replicas = min(study.study.replicas, study.study.replicas_per_job)
    shape = replicas, len(study.specimens), study.test_number
    images = int(np.prod(shape))
    number = min(study.study.structures.test, max(2, _MOST_VALUES // (3 * images)))
    counts = np.random.default_rng(0).integers(
        study.microscope.field_px**2, size=(*shape, number, len(OUTCOMES)), dtype=np.uint32
    )
    record = xr.Dataset(
        {"counts": (("replica", "test_specimen", "test", "structure", "outcome"), counts)},
        {"test": [condition.id for condition in study.test_conditions]},
    )
    of_structure, rest = _of_each_structure(study, record, datasets.RECORD, {})
    return of_structure / images, rest


def _of_each_structure(
    study: Study, dataset: "xr.Dataset", kind: str, chunks: dict[str, int]
) -> tuple[float, float]:
    """Return the bytes of a structure in a file, and those of the rest of the file.

    The whole data set is written, and then that of one structure alone.
    """
    from passband.storage import datasets

    number = dataset.sizes["structure"]
    attrs = {"configuration": json.dumps(study.written())}
    written = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "file.zarr.zip"
        for part in (dataset, dataset.isel(structure=slice(1))):
            datasets.write(part, file, kind, attrs=attrs, chunks=chunks)
            written.append(file.stat().st_size)
    whole, one = written
    if number == 1:
        return float(whole), 0.0
    of_structure = (whole - one) / (number - 1)
    return of_structure, one - of_structure
