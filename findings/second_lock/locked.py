"""The locks of the parts: predictions are committed before the truth, which is opened once.

A part has a folder in `locked`: ``predictions.npz`` and ``digests.json`` are committed before its
networks are trained; ``truth.npz`` and ``result.json`` are written when it is opened.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from findings.twelve_thousand import history
from findings.twelve_thousand.history import PROTOCOL as NAME
from findings.twelve_thousand.locked import UNIT, array_digest, protocol_digest, read_arrays
from passband import PassbandError

FOLDER = Path("findings/second_lock")
PROTOCOL = FOLDER / NAME
#: The folder, as git finds it wherever it is.
WHERE = ":(glob)**/second_lock"


def digest() -> str:
    """Return the SHA-256 of the protocol as committed, which every draw follows from.

    Raises:
        PassbandError: If the protocol differs from the committed file.
    """
    return protocol_digest(PROTOCOL)


@dataclass(frozen=True)
class Lock:
    """The lock of a part.

    Attributes:
        name: The name of its folder, such as ``part1``.
    """

    name: str

    @property
    def folder(self) -> Path:
        return FOLDER / "locked" / self.name

    @property
    def predictions(self) -> Path:
        return self.folder / "predictions.npz"

    @property
    def digests(self) -> Path:
        return self.folder / "digests.json"

    @property
    def truth(self) -> Path:
        return self.folder / "truth.npz"

    @property
    def result(self) -> Path:
        return self.folder / "result.json"

    @property
    def phases(self) -> tuple[tuple[str, ...], ...]:
        """The files in the order of their commits, as :func:`history.check` takes them."""
        first, later = (self.predictions, self.digests), (self.truth, self.result)
        names = (tuple(str(p.relative_to(FOLDER)) for p in of) for of in (first, later))
        return ((NAME,), *names)

    def write(self, predicted: Mapping[str, np.ndarray]) -> None:
        """Write predictions of Dice, in units of 1/65535, and their digest.

        Raises:
            PassbandError: If the protocol differs from the committed file.
        """
        digests = {"protocol": digest()}
        arrays = {name: in_units(D) for name, D in predicted.items()}
        self.folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(self.predictions, allow_pickle=False, **arrays)
        digests["predictions"] = array_digest(arrays)
        self.digests.write_text(json.dumps(digests, indent=2) + "\n", encoding="utf-8")

    def read(self) -> dict[str, np.ndarray]:
        """Return the predicted Dice by line, from the files with the committed digests.

        Raises:
            PassbandError: If the protocol or the predictions are others.
        """
        if not self.digests.exists():
            raise PassbandError(f"{self.digests}: is missing; predict first")
        arrays = read_arrays(self.predictions)
        found = {"protocol": digest(), "predictions": array_digest(arrays)}
        if found != json.loads(self.digests.read_text(encoding="utf-8")):
            raise PassbandError(f"{self.digests}: the protocol or the predictions have changed")
        return {name: D / UNIT for name, D in arrays.items()}

    def committed(self) -> list[str]:
        """Return lines about the protocol and the predictions, which were committed in order.

        Raises:
            PassbandError: If it is not so, or they have changed.
        """
        if reason := history.lacking():
            raise PassbandError(f"{self.folder}: nothing can be said of its commits: {reason}")
        self.read()
        return list(history.check(FOLDER, self.phases[:2], WHERE))

    def check(self) -> str:
        """Return the commit, if the lock is :meth:`committed` and was not opened.

        Raises:
            PassbandError: If it is not so.
        """
        lines = self.committed()
        name = self.phases[2][1]
        if self.result.exists() or history.versions(name, "--all", WHERE):
            raise PassbandError(f"{self.result}: was opened before; its result stands")
        print("\n".join(lines))
        return history.git("rev-parse", "HEAD").strip()

    def open(self, truth: Mapping[str, np.ndarray], result: Mapping[str, Any]) -> None:
        """Write the truth and the result that follows from it, once.

        Args:
            truth: Dice, which is written in units of 1/65535.

        Raises:
            PassbandError: If the lock was opened before, or its files are not those committed.
        """
        commit = self.check()
        arrays = {name: in_units(D) for name, D in truth.items()}
        np.savez_compressed(self.truth, allow_pickle=False, **arrays)
        head = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "commit": commit}
        digests = json.loads(self.digests.read_text(encoding="utf-8"))
        text = json.dumps(head | digests | dict(result), indent=2)
        self.result.write_text(text + "\n", encoding="utf-8")


def in_units(D: np.ndarray) -> np.ndarray:
    """Return Dice, 0 to 1, in units of 1/65535 as uint16."""
    return np.rint(np.asarray(D) * UNIT).astype(np.uint16)
