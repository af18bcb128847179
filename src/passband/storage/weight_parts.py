"""Files of networks of several training conditions, which one job has trained.

The part of a condition is what a file of that condition alone would contain: the weights of its
replicas and their metadata. In the file, the name of a tensor is ``{condition}/{replica}/{name}``.
The value `parts` has the metadata of each part. A file of one part is written as
:func:`passband.storage.weights.save` writes it.

Each part has its own checksum. If a file is damaged, the parts that are not damaged are still
found, and only the networks of the other parts are trained again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from passband.groups import has_several
from passband.seeds import digest
from passband.storage import weights as files
from passband.storage.atomic import replacing
from passband.storage.integrity import DamagedError, StoreError, check_regular
from passband.storage.weights import WeightsMetadata, as_array, fingerprint

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


@dataclass(frozen=True)
class Part:
    """The networks of one training condition.

    Attributes:
        weights: Weights and buffers of each replica, as tensors or as numpy arrays.
        metadata: The metadata of these replicas.
    """

    weights: dict[int, dict[str, Tensor | np.ndarray]]
    metadata: WeightsMetadata


def save_parts(parts: Mapping[str, Part], path: str | Path, provenance: Mapping) -> None:
    """Write the networks of a job to one file, completely or not at all. torch is not imported.

    Args:
        parts: The networks by the id of the training condition. All parts have the same specimen
            and the same architecture.
        provenance: Where the file was made, see :func:`passband.storage.provenance.attributes`.

    Raises:
        FullError: If there is no space left on the disk.
        LostError: If another job has taken over the work of this job.
    """
    values: dict[str, object] = {}
    tensors: dict[str, np.ndarray] = {}
    for condition, part in parts.items():
        start = f"{condition}/" if len(parts) > 1 else ""
        tensors |= {
            f"{start}{replica}/{name}": as_array(tensor)
            for replica, state in part.weights.items()
            for name, tensor in state.items()
        }
        own = {
            name: value
            for name, value in part.metadata.to_values().items()
            if name not in part.metadata.provenance
        }
        if len(parts) == 1:
            values = own
        else:
            values |= {name: own[name] for name in ("specimen", "architecture")}
            own["checksum"] = _checksum(own, part.weights)
            values.setdefault("parts", {})[condition] = own
    with replacing(path) as beside:
        files.write(tensors, beside, {**values, **provenance})


def load_parts(
    path: str | Path, framework: str = "numpy", damaged: bool = False
) -> dict[str, Part]:
    """Return the networks in a file of one or several conditions, by condition.

    Args:
        path: A file that :func:`save_parts` or :func:`passband.storage.weights.save` wrote.
        framework: `numpy` or `pt`, see :func:`passband.storage.weights.read`.
        damaged: Whether to return the undamaged parts of a damaged file, instead of an error.

    Raises:
        StoreError: See :func:`passband.storage.weights.load`.
    """

    def has_parts(values: dict) -> bool:
        return isinstance(values.get("parts"), dict)

    accepts = has_parts if damaged else lambda values: False
    tensors, values = files.read(path, framework, accepts)
    if not has_parts(values):
        part = Part(*files.from_tensors(path, tensors, values))
        return {part.metadata.condition: part}
    found = {}
    common = {name: value for name, value in values.items() if name != "parts"}
    for condition, own in values["parts"].items():
        start = f"{condition}/"
        chosen = {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}
        own = dict(own)
        expected = own.pop("checksum", None)
        try:
            part = Part(*files.from_tensors(path, chosen, {**common, **own}))
        except DamagedError:
            if damaged:
                continue
            raise
        if expected == _checksum(own, part.weights):
            found[condition] = part
        elif not damaged:
            raise DamagedError(path, f"not a whole file of weights: {condition} is damaged")
    return found


def conditions_in(path: str | Path, group: str) -> list[str]:
    """Return the ids of the training conditions in a file; none if the file cannot be read.

    Args:
        path: The file. It is opened only if its group has several conditions.
        group: The name of the group, see :mod:`passband.groups`.
    """
    if not has_several(group):
        return [group]
    try:
        check_regular(path)
        with safe_open(path, framework="numpy") as file:
            return list(json.loads((file.metadata() or {})["parts"]))
    except (SafetensorError, OSError, StoreError, KeyError, ValueError, TypeError):
        return []


def _checksum(values: Mapping[str, object], weights: Mapping[int, Mapping]) -> str:
    return digest(dict(values), fingerprint(weights))
