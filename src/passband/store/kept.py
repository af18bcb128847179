"""Keeps what takes seconds to compute, so that a second call of a command takes less time.

Such a file, for example ``results/<study>/store/recommend/<test specimen>.json``, is complete or
absent. It is made again if it is damaged, or if its recipe has changed, but not for a new version
of Passband. No rule of Snakemake reads or makes it. Without permission to write, or on a full disk,
every call computes again.
"""

import contextlib
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from passband.storage import FullError, StoreError, checked_json
from passband.store.recipe import Recipe

T = TypeVar("T")

#: Number of the content of all these files. Increase it if the code gives other values.
_NUMBER = 3


def recipe(kind: str, leaves: Mapping[str, Any], arrays: Iterable[np.ndarray] = ()) -> Recipe:
    """Return the recipe of something that also depends on numpy and scipy, and on arrays."""
    hashed = blake2b(digest_size=8)
    for array in arrays:
        hashed.update(repr((array.shape, str(array.dtype))).encode())
        hashed.update(np.ascontiguousarray(array).tobytes())
    libraries = {name: version(name) for name in ("numpy", "scipy")}
    return Recipe(kind, {**libraries, "arrays": hashed.hexdigest(), **leaves}, number=_NUMBER)


def kept(
    file: Path,
    recipe: Recipe,
    make: Callable[[], dict[str, Any]],
    parse: Callable[[dict[str, Any]], T],
) -> T:
    """Return the content of a file with this recipe, or make the content and write the file.

    Args:
        make: A function that returns the content, which can be written as JSON.
        parse: A function that returns the content in the form in which it is used. It raises
            ValueError, KeyError or TypeError if the content has another form.
    """
    with contextlib.suppress(OSError, StoreError, ValueError, KeyError, TypeError):
        found = checked_json.read(file)
        if found["recipe_digest"] == recipe.digest:
            return parse(found["content"])
    content = make()
    with contextlib.suppress(OSError, StoreError, FullError):
        checked_json.write(file, {"recipe_digest": recipe.digest, "content": content})
    return parse(content)
