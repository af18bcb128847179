"""Seeds and digests by hashing, so that no job depends on another's place in a random stream."""

import hashlib
import json
from statistics import NormalDist
from typing import Any

import numpy as np


def seed(*names: str | int) -> int:
    """Return the seed that belongs to a sequence of names.

    Parameters
    ----------
    *names : str or int
        What the random numbers are for, from the general to the particular, such as
        ``(study seed, specimen, split, structure index, "structure")``.

    Returns
    -------
    int
        Between 0 and 2**63 − 1: the first eight bytes of the BLAKE2b hash of the names, less the
        sign bit, which torch's generators do not take.
    """
    text = "\x1f".join(str(name) for name in names)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(*names: str | int) -> np.random.Generator:
    """Return numpy's generator (PCG64) seeded by :func:`seed` of the names."""
    return np.random.default_rng(seed(*names))


def stratified_normal(number: int, dimensions: int, *names: str | int) -> np.ndarray:
    """Return standard normal numbers of a Latin hypercube, for averages over few draws.

    Along every dimension one number falls into each of as many equally likely intervals: what the
    dimensions contribute one by one is averaged as by quadrature, and the average stays unbiased
    (McKay, Beckman & Conover, *Technometrics* 21, 239, 1979).

    Returns
    -------
    (number, dimensions) float64 array
        Rows are the draws.
    """
    random = generator(*names)
    places = random.permuted(np.tile(np.arange(number)[:, None], dimensions), axis=0)
    uniform = (places + random.random((number, dimensions))) / number
    return np.vectorize(NormalDist().inv_cdf)(uniform)


def digest(*values: Any) -> str:
    """Return sixteen hexadecimal digits that stand for values JSON can write."""
    text = json.dumps(values, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
