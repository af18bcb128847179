"""The memory and time of jobs, estimated from the configuration alone.

Snakemake needs the requests while it makes its graph of jobs. So nothing is imported here that
takes long, and nothing is allocated to find out: an architecture's bytes per pixel are scaled with
the study's images, batches and replicas, see :mod:`passband.learning.network_sizes`.
``benchmarks/memory.py`` compares a whole job with its estimate.
"""

import contextlib
import math
import os
import resource
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from passband import units
from passband.config import Specimen, Study, Training
from passband.errors import PassbandError
from passband.learning.network_sizes import bytes_per_pixel, weights

if TYPE_CHECKING:
    import torch

#: The memory of a process that has imported everything that training needs [bytes].
LIBRARIES = 0.5e9

#: The share of a job's memory that exit waves, masks and images may use. The rest of the memory is
#: for libraries, weights and activations.
SHARE = 0.5

#: The largest size of test images that the networks of a job's training conditions share [bytes].
SHARED_BYTES = 2**28

#: How many numbers the optimizer keeps for every weight.
MOMENTS = 2

#: The smallest memory that a job requests [MB]. On a machine with a GPU, CUDA uses a part of this
#: memory.
LEAST = 3000

#: The largest ratio between the memory that networks need and the estimate. The heap keeps freed
#: tensors below 32 MB (:func:`passband.jobs.running.keep_memory`), and vectorized operations
#: allocate additional memory.
SLACK = 2.0

#: How many images a train job forms at a time: the default `chunk` of
#: :meth:`passband.imaging.acquisition.Acquisition.intensities`.
FORMED = 64


def wave_bytes(
    structures: int, configurations: int, *, cropped: int, px: int, instances: bool = False
) -> int:
    """Return the memory of structures' exit waves (complex64) and masks (float32) [bytes].

    Args:
        configurations: Number of frozen configurations of each structure.
        cropped, px: Side of a wave's cropped spectrum, and side of a mask, in pixels.
        instances: Whether the particles' numbers on both faces of the substrate are there, too.
    """
    return structures * (8 * configurations * cropped**2 + (4 + 2 * instances) * px**2)


def image_bytes(structures: int, px: int) -> int:
    """Return the memory of structures' noise-free float32 images [bytes].

    Each image counts twice, since chunks of images are copied once when they are joined. All
    replicas of a job share the noise-free images. Noise is drawn for each batch and is not kept.
    """
    return 2 * structures * 4 * px**2


def _wave_bytes(study: Study, specimens: Iterable[Specimen], structures: int) -> int:
    """Return the memory of a specimen's exit waves and masks [bytes], the largest of specimens."""
    # The number of pixels and of frozen configurations is that of every set of exit waves.
    configurations = max(specimen.thermal.configurations for specimen in specimens)
    microscope = study.microscope
    cropped = microscope.wave_sampling.cropped
    px = microscope.field_px
    return wave_bytes(structures, configurations, cropped=cropped, px=px)


def held_bytes(study: Study, architecture: str) -> int:
    """Return the memory of a train job's exit waves, masks and images [bytes]."""
    structures = study.study.structures
    number, trained = structures.train + structures.val, study.trained_specimens.values()
    px = study.microscope.field_px
    labels = 2 * number * px**2 * study.training.needs_instances(architecture)
    return _wave_bytes(study, trained, number) + labels + image_bytes(number, px)


def network_bytes(
    architecture: str,
    px: int,
    settings: Training,
    *,
    precision: str,
    replicas: int,
    together: bool,
) -> tuple[float, float]:
    """Return the memory of a job's networks, and what each image of a training batch adds [bytes].

    All networks have weights, the optimizer's moments and the weights of the best epoch. Networks
    that compute at the moment also have gradients, copies of the weights in a lower precision, and
    activations.

    Args:
        precision: ``auto`` counts as float32, which needs the most memory.
        together: Whether the networks are vectorized. Otherwise one network computes at a time.
    """
    known = settings.architecture(architecture)
    full = precision in ("auto", "float32")
    active = replicas if together else 1
    copies = replicas * (2 + MOMENTS) + active * (1.0 if full else 1.5)
    image = active * px**2 * bytes_per_pixel(known) * (1 if full else 0.5)
    return 4 * weights(known) * copies, image


def train_bytes(study: Study, architecture: str, precision: str, gpu: bool = False) -> float:
    """Return the memory of a train job that keeps all its images in memory [bytes].

    Args:
        precision: See :func:`network_bytes`.
        gpu: Whether to return the memory of the GPU, and not that of the process on a CPU.
    """
    block, microscope, training = study.study, study.microscope, study.training
    replicas = min(block.replicas, block.replicas_per_job)
    # Replicas are vectorized only in memory that is free when the job starts.
    networks, image = network_bytes(
        architecture,
        microscope.field_px,
        training,
        precision=precision,
        replicas=replicas,
        together=False,
    )
    need = held_bytes(study, architecture) + networks + training.batch_size * image
    if gpu:
        return need
    # The trained networks of all conditions are in memory until the job writes its file.
    conditions = min(block.conditions_per_job, study.train_number)
    trained = 4 * weights(training.architecture(architecture)) * replicas * (conditions - 1)
    formed = min(FORMED, max(block.structures.train, block.structures.val))
    return need + LIBRARIES + formed * _forming_bytes(study) + trained


def train_mb(study: Study, architecture: str) -> int:
    """Return the memory that a train job requests [MB]: all its images fit into :data:`SHARE`."""
    need = train_bytes(study, architecture, study.training.precision)
    return _request_mb(max(held_bytes(study, architecture) / SHARE, need))


def evaluate_mb(study: Study, architecture: str) -> int:
    """Return the memory that an evaluate job requests [MB].

    The memory includes the test structures of all specimens. An architecture's bytes per pixel are
    enough for validation with four times `batch_size` images. So in evaluation, the activations of
    one image need at most a quarter of them.
    """
    block, px = study.study, study.microscope.field_px
    replicas = min(block.replicas, block.replicas_per_job)
    known = study.training.architecture(architecture)
    batch = min(study.evaluation.batch_size, block.structures.test)
    sets, specimens = len(study.test_waves), study.specimens.values()
    waves = sets * len(specimens) * _wave_bytes(study, specimens, block.structures.test)
    conditions = min(block.conditions_per_job, study.train_number)
    networks = 4 * weights(known) * replicas * conditions
    # The outputs of all replicas are in memory together. While an image is formed, it needs 16
    # bytes per pixel, and more on finer pixels.
    outputs = 4 * replicas * known.outputs
    # With a head, the labels of all structures, and the true particles of those of one set.
    labels = 2 * sets * len(specimens) + 16 if known.head else 0
    waves += block.structures.test * px**2 * labels
    image = px**2 * (bytes_per_pixel(known) / 4 + outputs + 16) + _forming_bytes(study)
    return _request_mb(LIBRARIES + SHARED_BYTES + waves + networks + batch * image)


def _forming_bytes(study: Study) -> int:
    """Return the memory of one image while it is formed, before its pixels are binned [bytes]."""
    return 4 * study.microscope.wave_sampling.px**2


def simulate_mb(study: Study) -> int:
    """Return the memory that a simulate job requests [MB].

    The memory is for multislice, and for two copies of the shard that the job makes.
    """
    waves = _wave_bytes(study, study.specimens.values(), study.study.structures_per_shard)
    grid = study.microscope.engine_part.declaration.bytes_per_pixel * _multislice_px(study) ** 2
    return _request_mb(LIBRARIES + 2 * waves + grid)


def simulate_minutes(study: Study) -> int:
    """Return the time limit of a simulate job's first attempt: whole hours [min]."""

    def height(specimen: Specimen) -> float:
        """Return the height of a specimen's structures [Å], times the number of configurations."""
        return specimen.thermal.configurations * specimen.most_height_nm * units.A_PER_NM

    sets, specimens = study.extreme_waves, study.specimens.values()
    highest = max(height(specimen.under(waves)) for specimen in specimens for waves in sets)
    structures, pixels = study.study.structures_per_shard, _multislice_px(study) ** 2
    rate = study.microscope.engine_part.declaration.seconds_per_pixel
    seconds = rate * structures * highest * pixels
    return 60 * math.ceil(seconds / 3600)


def _multislice_px(study: Study) -> int:
    """Return the largest number of pixels along a side of the multislice grid."""
    return max(study.microscope.under(waves).multislice.px for waves in study.extreme_waves)


def _request_mb(need: float) -> int:
    """Return the requested memory [MB]: a quarter more than `need` [bytes], in steps of 500 MB."""
    return max(LEAST, 500 * math.ceil(1.25 * need / 500e6))


def available_bytes(device: "torch.device", requested: float) -> float:
    """Return the number of bytes that this process may still allocate.

    Args:
        device: The device that computes. For a GPU, the result is the free memory of the GPU.
        requested: The memory that the job has requested [bytes]. Only SLURM enforces the requested
            memory. Without SLURM, the job may use all the memory of the machine.
    """
    if device.type == "cuda":
        import torch

        return float(torch.cuda.mem_get_info(device)[0])
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return (requested if "SLURM_JOB_ID" in os.environ else machine) - peak_process_bytes()


def peak_process_bytes() -> float:
    """Return the largest memory that this process has used so far [bytes]."""
    with contextlib.suppress(OSError):
        # In a new process, getrusage begins with the peak memory of the parent process.
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024.0 * int(line.split()[1])
    unit = 1 if sys.platform == "darwin" else 1024
    return float(unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def fit_to_memory(
    architecture: str,
    px: int,
    settings: Training,
    precision: str,
    device: "torch.device",
    replicas: int,
    room: float,
) -> bool:
    """Return whether a job's replicas certainly fit into memory if they are vectorized.

    Otherwise the operating system could kill the job on a CPU.

    Args:
        architecture, px, settings, precision, replicas: The parameters of :func:`network_bytes`.
        room: Number of bytes that are available to the networks.

    Raises:
        PassbandError: If a batch certainly does not fit into memory. The message names the batch
            sizes that may fit.
    """
    doubt = settings.architecture(architecture).doubt
    needed = partial(
        network_bytes, architecture, px, settings, precision=precision, replicas=replicas
    )
    networks, image = needed(together=False)
    least = (networks + settings.batch_size * image) / doubt
    if least > room:
        largest, allowed = int((doubt * room - networks) / image), "only 2"
        if largest != 2:
            none = "none, with this architecture and field_px"
            allowed = f"2 to {largest}" if largest > 2 else none
        room = max(room, 0)
        raise PassbandError(
            f"training.batch_size = {settings.batch_size}: training of {architecture} at {px}² "
            f"would need {least / 1e9:.1f} GB of {device.type} memory, and {room / 1e9:.1f} GB are "
            f"available; batch sizes that fit: {allowed}"
        )
    networks, image = needed(together=True)
    return SLACK * doubt * (networks + settings.batch_size * image) <= room
