"""Seeds of random numbers, and digests of values, both computed as hashes.

Since seeds are hashes of names, the random numbers of one job do not depend on other jobs.
"""

import hashlib
import json
from statistics import NormalDist
from typing import Any

import numpy as np


def seed(*names: str | int) -> int:
    """Return the seed of random numbers for a sequence of names.

    Args:
        *names: Names that identify the purpose of the random numbers, such as ``(study seed,
            specimen, split, structure index, "structure")``.

    Returns:
        The first eight bytes of the BLAKE2b hash of the names, shifted right by one bit. The seed
        is an integer from 0 to 2**63 − 1, because torch's generators refuse larger seeds.
    """
    text = "\x1f".join(str(name) for name in names)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(*names: str | int) -> np.random.Generator:
    """Return numpy's random generator (PCG64) with the seed ``seed(*names)``."""
    return np.random.default_rng(seed(*names))


def stratified_normal(number: int, dimensions: int, *names: str | int) -> np.ndarray:
    """Return standard normal numbers from a Latin hypercube, for averages over few draws.

    Each dimension is divided into `number` equally likely intervals, and each interval has one draw
    of the random numbers. So the contribution of each single dimension to an average is computed as
    in a quadrature, without bias (McKay, Beckman & Conover, *Technometrics* 21, 239, 1979).

    Returns:
        (number, dimensions) float64: the random numbers; each row is one draw.
    """
    random = generator(*names)
    places = random.permuted(np.tile(np.arange(number)[:, None], dimensions), axis=0)
    uniform = (places + random.random((number, dimensions))) / number
    return np.vectorize(NormalDist().inv_cdf)(uniform)


def digest(*values: Any) -> str:
    """Return sixteen hexadecimal digits that identify values which can be written as JSON."""
    text = json.dumps(values, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
