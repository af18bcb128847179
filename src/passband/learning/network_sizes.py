"""The numbers of weights and of bytes of an architecture, from which the memory of jobs follows.

A part may say them. Otherwise they are counted, for which torch is imported.
"""

from functools import cache

from passband.config.architectures import Architecture


def weights(architecture: Architecture) -> float:
    """Return the number of weights."""
    return architecture.number("weights") or counted(architecture)[0]


def bytes_per_pixel(architecture: Architecture) -> float:
    """Return the memory for each pixel of a training batch in float32 [bytes]."""
    return architecture.number("bytes_per_pixel") or counted(architecture)[1]


@cache
def counted(architecture: Architecture) -> tuple[int, float]:
    """Count the weights and the bytes per pixel of an architecture.

    Raises:
        PartError: If the code of the architecture must not run, or fails.
    """
    from passband.learning import peak_memory  # torch takes seconds to import

    return peak_memory.count(architecture)
