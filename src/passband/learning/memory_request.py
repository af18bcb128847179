"""The memory and time that jobs request, computed from the configuration alone.

Snakemake computes the requests when it makes its graph of jobs. The requests are computed without
torch, since an import of torch takes long. They are estimates for a CPU, from a table of
architectures. If the needed memory depends on the device, the estimate is rather too large. Later,
in the job, :mod:`passband.learning.memory` counts the memory tensor by tensor for the actual
device.
"""

import math
from collections.abc import Iterable

from passband import units
from passband.config import Specimen, Study, Training, architectures

#: The memory of a process that has imported everything that training needs [bytes].
LIBRARIES = 0.5e9

#: The share of a job's memory that exit waves, masks and images may use. The rest of the memory is
#: for libraries, weights and activations.
SHARE = 0.5

#: The largest size of test images that the networks of a job's training conditions share [bytes].
SHARED_BYTES = 2**28

#: How many numbers each optimizer keeps for every weight.
MOMENTS = {"adam": 2, "adamw": 2, "sgd": 1}

#: The smallest memory that a job requests [MB]. On a machine with a GPU, CUDA uses a part of this
#: memory.
LEAST = 3000

#: How many images a train job forms at a time: the default `chunk` of
#: :meth:`passband.imaging.acquisition.Acquisition.intensities`.
FORMED = 64

#: Memory of multislice for each pixel of the multislice grid [bytes], and time of multislice on a
#: slow core for each pixel and each Å of a structure's height [s].
_GRID_BYTES, _GRID_SECONDS = 80, 1e-7


def wave_bytes(structures: int, configurations: int, cropped: int, px: int) -> int:
    """Return the memory of structures' exit waves and masks [bytes].

    Args:
        structures, configurations: Number of structures, and number of frozen configurations of
            each structure.
        cropped, px: Side of a wave's cropped spectrum, and side of a mask, in pixels.
    """
    return structures * (8 * configurations * cropped**2 + 4 * px**2)  # complex64 and float32


def image_bytes(structures: int, px: int) -> int:
    """Return the memory of structures' noise-free float32 images [bytes].

    Each image counts twice, since chunks of images are copied once when they are joined. All
    replicas of a job share the noise-free images. Noise is drawn for each batch and is not kept.
    """
    return 2 * structures * 4 * px**2


def forming_bytes(study: Study, images: int) -> int:
    """Return the memory of images on the finer pixels of `microscope.oversampling` [bytes].

    Images of a chunk are formed on finer pixels as float32, before they are reduced to the image's
    pixels. Without oversampling, the result is 0, since images are then formed where they are kept.

    Args:
        images: Number of images that are formed at a time.
    """
    microscope = study.microscope
    return 4 * images * microscope.wave_sampling.px**2 if microscope.oversampling > 1 else 0


def train_forming_bytes(study: Study) -> int:
    """Return :func:`forming_bytes` of a train job."""
    structures = study.study.structures
    return forming_bytes(study, min(FORMED, max(structures.train, structures.val)))


def _wave_bytes(study: Study, specimens: Iterable[Specimen], structures: int) -> int:
    """Return the memory of a specimen's exit waves and masks [bytes], the largest of specimens."""
    # The number of pixels and of frozen configurations is that of every set of exit waves.
    configurations = max(specimen.thermal.configurations for specimen in specimens)
    microscope = study.microscope
    cropped = microscope.wave_sampling.cropped
    return wave_bytes(structures, configurations, cropped, microscope.field_px)


def held_bytes(study: Study) -> int:
    """Return the memory of a train job's exit waves, masks and images [bytes]."""
    structures = study.study.structures
    number, trained = structures.train + structures.val, study.trained_specimens.values()
    images = image_bytes(number, study.microscope.field_px)
    return _wave_bytes(study, trained, number) + images


def estimated_training_bytes(
    architecture: str, px: int, settings: Training, replicas: int = 1, together: bool = False
) -> float:
    """Return an estimate of :func:`passband.learning.memory.peak_training_bytes` on a CPU.

    The parameters are the same, without `precision`. The setting ``auto`` of the precision counts
    as float32, which needs the most memory.
    """
    known = architectures.parse(architecture)
    full = settings.precision in ("auto", "float32")
    active = replicas if together else 1
    # All networks have weights, the optimizer's moments and the weights of the best epoch. Networks
    # that compute at the moment also have gradients, and copies of the weights in the precision.
    copies = replicas * (2 + MOMENTS[settings.optimizer]) + active * (1.0 if full else 1.5)
    activations = active * settings.batch_size * px**2 * known.bytes_per_pixel
    return 4 * known.weights * copies + activations * (1 if full else 0.5)


def train_mb(study: Study, architecture: str) -> int:
    """Return the memory that a train job of an architecture requests [MB].

    The requested memory is enough to keep all images in memory. Half of it is for exit waves, masks
    and images, see :data:`SHARE`.
    """
    block, training = study.study, study.training
    replicas = min(block.replicas, block.replicas_per_job)
    together = training.replicas_together == "always" and replicas > 1
    networks = estimated_training_bytes(
        architecture, study.microscope.field_px, training, replicas, together
    )
    # The trained networks of all conditions are in memory until the job writes its file.
    trained = 4 * architectures.parse(architecture).weights * replicas
    networks += trained * (min(block.conditions_per_job, study.train_number) - 1)
    used = LIBRARIES + held_bytes(study) + train_forming_bytes(study) + networks
    return _request_mb(max(held_bytes(study) / SHARE, used))


def evaluate_mb(study: Study, architecture: str) -> int:
    """Return the memory that an evaluate job requests [MB].

    The memory includes the test structures of all specimens. The bytes per pixel of an architecture
    are enough for validation with four times `batch_size` images. So in evaluation, the activations
    of one image need at most a quarter of the bytes per pixel.
    """
    block, px = study.study, study.microscope.field_px
    replicas, known = min(block.replicas, block.replicas_per_job), architectures.parse(architecture)
    batch = min(study.evaluation.batch_size, block.structures.test)
    sets = len(study.test_waves)  # all of them are in memory
    specimens = study.specimens.values()
    waves = sets * len(specimens) * _wave_bytes(study, specimens, block.structures.test)
    # In addition, 16 bytes per pixel are for images while they are formed.
    activations = batch * px**2 * (known.bytes_per_pixel / 4 + 16)
    # The logits of all replicas are in memory together. In addition, the sums of confidence need p
    # and the predicted pixels of all replicas, and three arrays more, for some images at a time.
    logits = 4 * replicas * batch * px**2 + 4 * (2 * replicas + 3) * max(px**2, 2**18)
    conditions = min(block.conditions_per_job, study.train_number)
    weights, forming = 4 * known.weights * replicas * conditions, forming_bytes(study, batch)
    shared = SHARED_BYTES if conditions > 1 else 0
    return _request_mb(LIBRARIES + waves + weights + activations + logits + forming + shared)


def simulate_mb(study: Study) -> int:
    """Return the memory that a simulate job requests [MB].

    The memory is for multislice, and for two copies of the shard that the job makes.
    """
    shard = study.study.structures_per_shard
    configurations = max(s.thermal.configurations for s in study.specimens.values())
    microscope, grid_px = study.microscope, _multislice_px(study)
    cropped = microscope.wave_sampling.cropped
    waves = wave_bytes(shard, configurations, cropped, microscope.field_px)
    return _request_mb(LIBRARIES + 2 * waves + _GRID_BYTES * grid_px**2)


def simulate_minutes(study: Study) -> int:
    """Return the time limit of a simulate job's first attempt: whole hours [min]."""

    def height(specimen: Specimen) -> float:
        """Return the height of a specimen's structures [Å], times the number of configurations."""
        substrate = specimen.substrate
        carbon = substrate.thickness_nm + 3 * substrate.thickness_std_nm
        particles = 2 * specimen.diameter_nm.max * len({"top", substrate.faces})
        return specimen.thermal.configurations * (carbon + particles + 1) * units.A_PER_NM

    sets, specimens = study.extreme_waves, study.specimens.values()
    highest = max(height(specimen.under(waves)) for specimen in specimens for waves in sets)
    structures, pixels = study.study.structures_per_shard, _multislice_px(study) ** 2
    return 60 * math.ceil(_GRID_SECONDS * structures * highest * pixels / 3600)


def _multislice_px(study: Study) -> int:
    """Return the largest number of pixels along a side of the multislice grid."""
    return max(study.microscope.under(waves).multislice.px for waves in study.extreme_waves)


def _request_mb(need: float) -> int:
    """Return the requested memory [MB]: a quarter more than `need` [bytes], in steps of 500 MB."""
    return max(LEAST, 500 * math.ceil(1.25 * need / 500e6))
