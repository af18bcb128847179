"""What differs in files of Passband 0.2, which are format 1: they are read and never written.

A function takes what a reader has found, and returns it as this version would have written it; what
this version has written is returned as it is. No other module asks about an earlier version, but
for keys of the configuration, see :mod:`passband.config.removed_keys`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from passband.storage import checked_json, json_text
from passband.storage.integrity import CHECKSUMS, check_regular

#: The format of stores and of files of weights that 0.2 wrote.
FORMAT = 1

#: Names of values of a file of weights, with those of this version.
_NAMES = {"stacked": "vectorized", "context": "recipe_digest"}

#: The preparation of images that a published folder describes if it states no version of it.
PREPARATION = 1


def weights(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a file of weights, without its format.

    Format 1 has other names of two values. Its `context` is a digest, and no recipe has the same.
    Each part of several has a checksum of its own.
    """
    now = dict(values)
    if now.pop("format") != FORMAT:
        return now
    now = _renamed(now)
    if "parts" in now:
        now["parts"] = {id: _renamed(part) for id, part in now["parts"].items()}
    return now


def _renamed(values: Mapping[str, Any]) -> dict[str, Any]:
    return {_NAMES.get(name, name): value for name, value in values.items() if name != "checksum"}


def is_unlisted(folder: Path, format: int) -> bool:
    """Return whether the folder of a store is one of the first of 0.2, without checksums."""
    return format == FORMAT and not (folder / CHECKSUMS).exists()


def likeness(path: Path) -> dict[str, Any]:
    """Return the content of a published ``likeness.json``, see :func:`checked_json.read`.

    The first one of 0.2 has no checksum, and no smallest `evenness`, so that it flags no image.
    """
    check_regular(path)
    content = json_text.read(path)
    if not isinstance(content, dict) or "checksum" in content:
        return checked_json.read(path)
    return content | {"limits": {"evenness": 0.0} | content["limits"]}
