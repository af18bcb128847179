"""What jobs ask of memory, from the configuration alone: no torch, for a workflow's graph asks it.

Ahead of :mod:`passband.memory`, which counts tensor by tensor and on the device that is there, this
estimates from what is known of architectures, for a CPU, on the safe side where the device decides.
"""

import math

from passband import architectures
from passband.config import Study, Training

#: What a process takes that has imported all that training needs [bytes].
LIBRARIES = 0.5e9

#: The share of a job's memory that waves, masks and images may take. The rest is for libraries,
#: weights and activations.
SHARE = 0.5

#: What an optimizer keeps of every weight.
MOMENTS = {"adam": 2, "adamw": 2, "sgd": 1}

#: What a job asks for at least [MB], as on a GPU, where CUDA takes some of it.
LEAST = 3000


def of_waves(structures: int, configurations: int, cropped: int, px: int) -> int:
    """Return the bytes of structures' exit waves and masks in memory.

    Parameters
    ----------
    structures, configurations : int
        Structures, and frozen configurations of each.
    cropped, px : int
        Side of a wave's cropped spectrum and of a mask.
    """
    return structures * (8 * configurations * cropped**2 + 4 * px**2)  # complex64 and float32


def of_images(structures: int, px: int) -> int:
    """Return the bytes of their images, float32, and once more while they are put together."""
    return 2 * structures * 4 * px**2


def _waves(study: Study, structures: int) -> int:
    configurations = max(s.thermal.configurations for s in study.trained_specimens.values())
    sampling = study.microscope.sampling
    return of_waves(structures, configurations, sampling.cropped, sampling.px)


def held(study: Study) -> int:
    """Return the bytes of a train job's exit waves, masks and images, held in memory."""
    of = study.study.structures
    return _waves(study, of.train + of.val) + of_images(
        of.train + of.val, study.microscope.field_px
    )


def of_networks(
    architecture: str, px: int, settings: Training, replicas: int = 1, together: bool = False
) -> float:
    """Return about what :func:`passband.memory.of_networks` counts on a CPU.

    Of the same parameters, but for the precision: ``auto`` counts as float32, which takes most.
    """
    known = architectures.parse(architecture)
    full = settings.precision in ("auto", "float32")
    stacked = replicas if together else 1
    # Each network's weights, moments and best weights; gradients, and casts, of those that compute.
    copies = replicas * (2 + MOMENTS[settings.optimizer]) + stacked * (1.0 if full else 1.5)
    activations = stacked * settings.batch_size * px**2 * known.bytes_per_pixel
    return 4 * known.weights * copies + activations * (1 if full else 0.5)


def train_mb(study: Study, architecture: str) -> int:
    """Return the memory that a train job of an architecture asks for [MB], all held in memory.

    Half of it is for exit waves, masks and images, see :data:`SHARE`.
    """
    of, training = study.study, study.training
    replicas = min(of.replicas, of.replicas_per_job)
    together = training.replicas_together == "always" and replicas > 1
    networks = of_networks(architecture, study.microscope.field_px, training, replicas, together)
    return _asked(max(held(study) / SHARE, LIBRARIES + held(study) + networks))


def evaluate_mb(study: Study, architecture: str) -> int:
    """Return the memory that an evaluate job asks for [MB], test structures of all specimens held.

    A prediction takes at most a fourth of a training image's activations, since validation, with
    batches four times as large, is in those.
    """
    of, px = study.study, study.microscope.field_px
    replicas, known = min(of.replicas, of.replicas_per_job), architectures.parse(architecture)
    batch = min(study.evaluation.batch_size, of.structures.test)
    waves = len(study.specimens) * _waves(study, of.structures.test)
    activations = batch * px**2 * (known.bytes_per_pixel / 4 + 16)  # and images as they are formed
    return _asked(LIBRARIES + waves + 4 * known.weights * replicas + activations)


def _asked(need: float) -> int:
    """Return megabytes to ask for, a quarter over the need, in steps of 500."""
    return max(LEAST, 500 * math.ceil(1.25 * need / 500e6))
