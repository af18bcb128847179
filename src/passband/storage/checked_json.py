"""JSON files with a checksum of their content, since JSON has none.

The checksum is the value `checksum` beside the other values of the file's object. It finds
accidents, such as a changed digit. It is no signature: whoever changes a value can change it too.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from passband.seeds import digest
from passband.storage import atomic, json_text
from passband.storage.integrity import check_regular

_CHECKSUM = "checksum"


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write an object to a JSON file, completely or not at all.

    Args:
        content: The values by name. No name is `checksum`.

    Raises:
        OSError: If the operating system refuses to write the file.
        FullError: If there is no space left.
    """
    checked = {_CHECKSUM: digest(content), **content}
    with atomic.replacing(path) as beside:
        beside.write_text(json.dumps(checked), encoding="utf-8")


def read(path: Path) -> dict[str, Any]:
    """Return the object that :func:`write` wrote.

    Raises:
        StoreError: If the path is a pipe or a device.
        ValueError: If the file is damaged: it is no JSON, no object, or has another checksum.
        OSError: If there is no file, or if it cannot be read.
    """
    check_regular(path)
    content = json_text.read(path)
    if not isinstance(content, dict):
        raise ValueError("it is no JSON object")
    if content.pop(_CHECKSUM, None) != digest(content):
        raise ValueError("its checksum does not match its content")
    return content
