"""Weights of trained networks, and states of training, in safetensors files.

A file has the networks of the training conditions of one job. The cell of a condition is what a
file of that condition alone would contain: the weights of its replicas and their metadata. In a
file of several cells, the name of a tensor is ``{condition}/{replica}/{name}``, and the value
`parts` has the metadata of each cell. In a file of one cell, the name is ``{replica}/{name}``.

This module imports torch only to return tensors of torch, so that other results of a study can be
read without loading torch.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from safetensors import SafetensorError, safe_open

from passband.groups import has_several
from passband.seeds import digest
from passband.storage import json_text
from passband.storage.atomic import replacing
from passband.storage.integrity import (
    FORMAT,
    DamagedError,
    StoreError,
    UnreachableError,
    check_attributes,
    check_format,
    check_regular,
    is_unreachable,
)

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


#: The largest size of the head of a file [bytes], which safetensors allows.
_MOST_HEAD = 100_000_000
#: The name of the value with the identities of all networks, see :func:`identities`.
_IDENTITIES = "networks"


@dataclass(frozen=True)
class EpochRecord:
    """One epoch of a network's training.

    Attributes:
        epoch: The epoch's number; the first epoch is 0.
        learning_rate: The learning rate of the epoch's last training step.
        train_loss: The mean loss over the training steps of the epoch.
        val_loss, val_dice: The loss and the mean Dice of the network on the validation images after
            the epoch.
        seconds: The epoch's duration, which is the same for all networks that were trained
            together.
    """

    epoch: int
    learning_rate: float
    train_loss: float
    val_loss: float
    val_dice: float
    seconds: float


#: Fields of :class:`WeightsMetadata` that are strings. Each field has the same name in a weights
#: file.
_TEXTS = (
    "architecture",
    "specimen",
    "condition",
    "normalisation",
    "precision",
    "device",
    "recipe_digest",
)


@dataclass(frozen=True)
class WeightsMetadata:
    """Metadata of the networks in a weights file.

    Attributes:
        architecture, specimen, condition: The architecture's name, the training specimen, and the
            id of the training condition.
        normalisation: Normalisation of the images that the networks were trained on; see
            :func:`passband.imaging.noise.normalise`.
        precision, device: The precision of the training, and the kind of device that the networks
            were trained on.
        recipe_digest: The digest of the networks' recipe, see :mod:`passband.store.recipe`.
        vectorized: Whether the replicas were trained together by `torch.func.vmap`.
        best: For each replica, the epoch whose network weights are in the file.
        history: For each replica, all epochs of its training.
        provenance: All other metadata of the file, from
            :func:`passband.storage.provenance.attributes`.
        code: Digits of the code of an architecture that is the study's own; "" for the package's.
    """

    architecture: str
    specimen: str
    condition: str
    normalisation: str
    precision: str
    device: str
    recipe_digest: str
    vectorized: bool
    best: dict[int, EpochRecord]
    history: dict[int, tuple[EpochRecord, ...]]
    provenance: dict[str, object]
    code: str = ""

    def history_rows(self) -> list[dict[str, float]]:
        """Return the history of training as a table with a row for each epoch of each replica."""
        return [
            {"replica": replica, **asdict(record)}
            for replica, records in self.history.items()
            for record in records
        ]

    def to_values(self) -> dict[str, object]:
        """Return the names and values of the metadata, to write them to a weights file."""
        return {
            **{name: getattr(self, name) for name in _TEXTS},
            "best": {str(replica): asdict(record) for replica, record in self.best.items()},
            "history": self.history_rows(),
            "vectorized": self.vectorized,
            **({"code": self.code} if self.code else {}),
            **self.provenance,
        }

    @classmethod
    def from_values(cls, values: Mapping[str, object]) -> WeightsMetadata:
        """Return the metadata that :meth:`to_values` wrote.

        Raises:
            ValueError: If a value of the metadata is missing or has a wrong type. The error's
                message names the value.
        """
        rest = dict(values)
        try:
            texts = {name: rest.pop(name) for name in _TEXTS}
            for name, text in texts.items():
                if not isinstance(text, str) or not text.isprintable():  # it is printed
                    raise ValueError(f"its {name} is {text!r}")
            history: dict[int, list[EpochRecord]] = {}
            for row in rest.pop("history"):
                record = {key: value for key, value in row.items() if key != "replica"}
                history.setdefault(row["replica"], []).append(EpochRecord(**record))
            best = rest.pop("best")
            code = rest.pop("code", "")
            if not isinstance(code, str):
                raise ValueError(f"its code is {code!r}")
            return cls(
                **texts,
                vectorized=rest.pop("vectorized"),
                best={int(replica): EpochRecord(**row) for replica, row in best.items()},
                history={replica: tuple(records) for replica, records in history.items()},
                provenance=rest,
                code=code,
            )
        except KeyError as error:
            raise ValueError(f"its metadata have no {error}") from None
        except (TypeError, AttributeError) as error:
            raise ValueError(f"its metadata do not describe weights: {error}") from None


class CellWeights(NamedTuple):
    """The networks of one training condition.

    Attributes:
        weights: Weights and buffers of each replica, as tensors or as numpy arrays.
        metadata: The metadata of these replicas.
    """

    weights: dict[int, dict[str, Tensor | np.ndarray]]
    metadata: WeightsMetadata

    @property
    def identities(self) -> dict[int, str]:
        """For each replica, hexadecimal digits that networks with the same output have."""
        metadata = self.metadata
        how = metadata.architecture, metadata.normalisation, metadata.precision
        how += (metadata.code,) if metadata.code else ()
        return {
            replica: digest(how, fingerprint({0: state})) for replica, state in self.weights.items()
        }


def fingerprint(weights: Mapping[int, Mapping[str, Tensor | np.ndarray]]) -> str:
    """Return sixteen hexadecimal digits that identify the network weights of replicas.

    Tensors and numpy arrays with the same values have the same fingerprint.
    """
    hashed = hashlib.blake2b(digest_size=8)
    for replica, state in sorted(weights.items()):
        for name, tensor in sorted(state.items()):
            hashed.update(f"{replica}/{name}".encode())
            hashed.update(as_array(tensor).data)
    return hashed.hexdigest()


def as_array(tensor: Tensor | np.ndarray) -> np.ndarray:
    """Return a contiguous numpy array with the values of a tensor or of an array."""
    if hasattr(tensor, "cpu"):
        return tensor.detach().cpu().contiguous().numpy()
    # numpy's ascontiguousarray would give an array of no dimension one dimension.
    return tensor.copy() if not tensor.flags.c_contiguous else tensor


def identities(path: str | Path) -> dict[str, dict[int, str]]:
    """Return the identities of the networks in a file by training condition.

    See :class:`CellWeights`.

    They are in the head of the file, so this function takes little time and finds no damage. None
    are returned if the file is missing or damaged.

    Raises:
        UnreachableError: If the file cannot be read now.
    """
    try:
        found = json_text.parse(_read_head(path)[_IDENTITIES], _MOST_HEAD)
        return {id: {int(r): each for r, each in of_id.items()} for id, of_id in found.items()}
    except (SafetensorError, OSError, StoreError) as error:
        if is_unreachable(error):
            raise UnreachableError(path, error) from None
        return {}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def recipes_in(path: str | Path) -> dict[str, str]:
    """Return the digest of the recipe of the networks in a file, by training condition.

    They are in the head of the file, so no damage is found. None are returned if it has no head.
    """
    head = _head(path)
    try:
        if "parts" in head:
            parts = json_text.parse(head["parts"], _MOST_HEAD)
            return {id: part["recipe_digest"] for id, part in parts.items()}
        return {json_text.parse(head["condition"]): json_text.parse(head["recipe_digest"])}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def format_of(path: str | Path) -> int | None:
    """Return the format of a weights file, or None if there is no readable file."""
    number = _head(path).get("format", "")
    return int(number) if number.isascii() and number.isdecimal() else None


def conditions_in(path: str | Path, group: str) -> list[str]:
    """Return the ids of the training conditions in a file; none if the file cannot be read.

    Args:
        path: The file. It is opened only if its group has several conditions.
        group: The name of the group, see :mod:`passband.groups`.
    """
    if not has_several(group):
        return [group]
    try:
        return list(json_text.parse(_head(path)["parts"], _MOST_HEAD))
    except (KeyError, ValueError, TypeError):
        return []


def values(path: str | Path) -> dict[str, object]:
    """Return the values of a file without its networks; none if there is no readable file.

    They are in the head of the file, so this function takes little time and finds no damage.
    """
    head = _head(path)
    try:
        return {n: json_text.parse(t, _MOST_HEAD) for n, t in head.items() if n != "checksum"}
    except (ValueError, TypeError):
        return {}


def _head(path: str | Path) -> dict[str, str]:
    """Return the texts in the head of a weights file; none if there is no readable file."""
    try:
        return _read_head(path)
    except (SafetensorError, OSError, StoreError):
        return {}


def _read_head(path: str | Path) -> dict[str, str]:
    check_regular(path)
    with safe_open(path, framework="numpy") as file:
        return file.metadata() or {}


def save(
    weights: dict[int, dict[str, Tensor]], path: str | Path, metadata: WeightsMetadata
) -> None:
    """Write the networks of one training condition to a file, as :func:`save_cells` does."""
    save_cells({metadata.condition: CellWeights(weights, metadata)}, path, metadata.provenance)


def save_cells(cells: Mapping[str, CellWeights], path: str | Path, provenance: Mapping) -> None:
    """Write the networks of a job to one file, completely or not at all.

    Args:
        cells: The networks by the id of the training condition. All cells have the same specimen
            and the same architecture.
        provenance: Where the file was made, see :func:`passband.storage.provenance.attributes`.

    Raises:
        FullError: If there is no space left on the disk.
        LostError: If another job has taken over the work of this job.
    """
    values: dict[str, object] = {}
    tensors: dict[str, Tensor | np.ndarray] = {}
    for condition, cell in cells.items():
        start = f"{condition}/" if len(cells) > 1 else ""
        for replica, state in cell.weights.items():
            tensors |= {f"{start}{replica}/{name}": tensor for name, tensor in state.items()}
        of_cell = replace(cell.metadata, provenance={}).to_values()
        if len(cells) == 1:
            values = of_cell
        else:
            values |= {name: of_cell[name] for name in ("specimen", "architecture")}
            values.setdefault("parts", {})[condition] = of_cell
    values[_IDENTITIES] = {condition: cell.identities for condition, cell in cells.items()}
    with replacing(path) as beside:
        write(tensors, beside, {**values, **provenance})


def load(path: str | Path, expected: Mapping[str, object] | None = None) -> CellWeights:
    """Return the networks of one training condition in a file, as tensors of torch.

    Args:
        expected: Names and values that the metadata must have. The value of `condition` chooses the
            training condition; by default, the first one in the file is returned.

    Raises:
        StoreError: If :func:`load_cells` would raise a StoreError, or if the metadata are not as
            expected.
    """
    cells = load_cells(path, "pt")
    condition = (expected or {}).get("condition", next(iter(cells), None))
    if condition not in cells:
        raise DamagedError(path, f"its networks were not trained under {condition}")
    check_attributes(path, vars(cells[condition].metadata), expected)
    return cells[condition]


def load_cells(path: str | Path, framework: str = "numpy") -> dict[str, CellWeights]:
    """Return the networks that :func:`save_cells` wrote, by the id of the training condition.

    No code in the file is run.

    Args:
        framework: `numpy` or `pt`, see :func:`read`.

    Raises:
        StoreError: If the file is missing, incomplete or changed. The error's message names the
            file.
    """
    tensors, values = read(path, framework)
    values.pop(_IDENTITIES, None)
    try:
        if "parts" not in values:
            cell = _cell(tensors, values)
            return {cell.metadata.condition: cell}
        cells = values.pop("parts")
        apart = {}
        for key, tensor in tensors.items():
            condition, _, name = key.partition("/")
            apart.setdefault(condition, {})[name] = tensor
        return {id: _cell(apart.get(id, {}), {**values, **own}) for id, own in cells.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise DamagedError(path, f"not a file of weights: {error}") from None


def _cell(tensors: Mapping[str, Tensor | np.ndarray], values: dict[str, object]) -> CellWeights:
    """Return a training condition's weights and metadata from a file's content."""
    weights: dict[int, dict[str, Tensor | np.ndarray]] = {}
    for key, tensor in tensors.items():
        replica, _, name = key.partition("/")
        if not (replica.isascii() and replica.isdigit()):
            raise ValueError(f"it has a tensor {key!r}")
        weights.setdefault(int(replica), {})[name] = tensor
    if not weights:
        raise ValueError("it has no tensors")
    # The names of the file's tensors are sorted as strings, so replica 10 comes before replica 9.
    return CellWeights(dict(sorted(weights.items())), WeightsMetadata.from_values(values))


def write(
    tensors: Mapping[str, Tensor | np.ndarray], path: Path, values: Mapping[str, object]
) -> None:
    """Write tensors and values to a safetensors file.

    The values are written as JSON, together with the version of the file format. A checksum over
    the whole content of the file is written too, because the safetensors format has no checksum.

    Args:
        values: The values by name. JSON can write these values.

    Raises:
        OSError: If the operating system refuses to write the file.
    """
    from safetensors.numpy import save_file

    arrays = {name: as_array(tensor) for name, tensor in tensors.items()}
    texts = {name: json.dumps(value) for name, value in {**values, "format": FORMAT}.items()}
    checksum = {"checksum": digest(texts, fingerprint({0: arrays}))}
    try:
        save_file(arrays, path, texts | checksum)
    except SafetensorError as error:
        # The operating system's error number is in the error message of safetensors.
        if match := re.search(r"(?:os error |code: )(\d+)", str(error)):
            raise OSError(int(match[1]), os.strerror(int(match[1])), str(path)) from None
        raise
    with path.open("rb+") as handle:
        # Without this call, the file could be empty after the compute node fails.
        os.fsync(handle.fileno())


def read(
    path: str | Path, framework: str = "pt"
) -> tuple[dict[str, Tensor | np.ndarray], dict[str, object]]:
    """Return the tensors and values that :func:`write` wrote.

    Args:
        framework: `pt` or `numpy`, whether to return tensors of torch, or numpy arrays. With
            "numpy", torch is not imported.

    Raises:
        StoreError: See :func:`load_cells`.
    """
    try:
        check_regular(path)
        with open(path, "rb") as opened:
            opened.read(1)  # the errors of safetensors have no numbers
        with safe_open(path, framework=framework) as file:
            texts = file.metadata() or {}
            values = {
                name: json_text.parse(text, _MOST_HEAD)
                for name, text in texts.items()
                if name != "checksum"
            }
            check_format(path, values.get("format"))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        checksum = texts.pop("checksum", None)
        if checksum != digest(texts, fingerprint({0: tensors})):
            raise ValueError("its checksum does not match its content")
        del values["format"]
        return tensors, values
    except (SafetensorError, ValueError, TypeError, AttributeError, OSError) as error:
        if is_unreachable(error):
            raise UnreachableError(path, error) from None
        if not Path(path).exists():
            raise StoreError(f"{path}: no such file of weights") from None
        words = " ".join(str(error).split())
        raise DamagedError(path, f"not a whole file of weights: {words}") from None
