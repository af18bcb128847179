"""Keeps the fitted parameters of models for recommendations, so that a second call takes less time.

The file is ``results/<study>/cache/recommend/<test specimen>.json``. It is complete or absent, and
it is made again if it is damaged, or if the results, the configuration or the version of numpy or
scipy has changed, but not for a new version of Passband. No rule of Snakemake reads or makes the
file. Without permission to write, or on a full disk, the models are fitted in every call.
"""

import contextlib
from collections.abc import Callable
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from passband.seeds import digest
from passband.storage import FullError, StoreError, checked_json

T = TypeVar("T")

#: Version of the file's content. Increase this number if the code gives other parameters.
_VERSION = 2


def key(arrays: list[np.ndarray], *values: Any) -> str:
    """Return a digest of arrays, values and the versions of libraries."""
    hashed = blake2b(digest_size=8)
    for array in arrays:
        hashed.update(repr((array.shape, str(array.dtype))).encode())
        hashed.update(np.ascontiguousarray(array).tobytes())
    # Passband's own version is no part of the key: its place has the version that it first had.
    libraries = {"passband": "0.1.0", **{name: version(name) for name in ("numpy", "scipy")}}
    return digest(_VERSION, libraries, hashed.hexdigest(), *values)


def kept(
    file: Path,
    key: str,
    make: Callable[[], dict[str, Any]],
    parse: Callable[[dict[str, Any]], T],
) -> T:
    """Return the content that a file has under a key, or make the content and write the file.

    Args:
        key: The result of :func:`key` for everything that the content depends on.
        make: A function that returns the content, which can be written as JSON.
        parse: A function that returns the content in the form in which it is used. It raises
            ValueError, KeyError or TypeError if the content has another form.
    """
    with contextlib.suppress(OSError, StoreError, ValueError, KeyError, TypeError):
        found = checked_json.read(file)
        if found["key"] == key:
            return parse(found["content"])
    content = make()
    with contextlib.suppress(OSError, StoreError, FullError):
        checked_json.write(file, {"key": key, "content": content})
    return parse(content)
