"""Openings, which happen once, and locks: predictions are committed before their truth is seen.

A part has a folder in `locked`. Of a lock, ``predictions.npz`` and ``digests.json`` are committed
before what they are judged by is measured, and ``truth.npz`` and ``result.json`` are written when
it is opened. Part 2 predicts nothing: its openings have ``dice.npz`` and ``result.json``.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from findings import committed
from findings.pages import Page
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
class Opening:
    """What networks of a part did and what follows from it, which is written once.

    Attributes:
        name: The name of its folder, such as ``part1``.
    """

    name: str

    #: The name of the file with what the networks did.
    TRUTH: ClassVar[str] = "dice.npz"

    @property
    def folder(self) -> Path:
        return FOLDER / "locked" / self.name

    @property
    def truth(self) -> Path:
        return self.folder / self.TRUTH

    @property
    def result(self) -> Path:
        return self.folder / "result.json"

    def check(self) -> str:
        """Return the commit, if there is no result yet, here or in the history.

        Raises:
            PassbandError: If there is one.
        """
        if reason := history.lacking():
            raise PassbandError(f"{self.folder}: nothing can be said of its commits: {reason}")
        if self.result.exists() or history.versions(relative(self.result), "--all", WHERE):
            raise PassbandError(f"{self.result}: was opened before; its result stands")
        return history.git("rev-parse", "HEAD").strip()

    def open(self, truth: Mapping[str, np.ndarray], result: Mapping[str, Any]) -> None:
        """Write what the networks did, and the result that follows from it, once.

        Args:
            truth: Dice in units of 1/65535, or what is not Dice.

        Raises:
            PassbandError: If it was opened before, or the protocol has changed.
        """
        commit = self.check()
        head = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "commit": commit,
            "protocol": digest(),
        }
        text = json.dumps(head | dict(result), indent=2)
        self.folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(self.truth, allow_pickle=False, **truth)
        self.result.write_text(text + "\n", encoding="utf-8")

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what the networks did, as it is stored."""
        return read_arrays(self.truth)

    def found(self) -> dict[str, Any]:
        """Return the result.

        Raises:
            PassbandError: If there is none.
        """
        if not self.result.exists():
            raise PassbandError(f"{self.result}: is missing; the lock is not open")
        return json.loads(self.result.read_text(encoding="utf-8"))


class Lock(Opening):
    """The opening of a part whose predictions are committed before their truth is measured."""

    TRUTH = "truth.npz"

    @property
    def predictions(self) -> Path:
        return self.folder / "predictions.npz"

    @property
    def digests(self) -> Path:
        return self.folder / "digests.json"

    @property
    def phases(self) -> tuple[tuple[str, ...], ...]:
        """The files in the order of their commits, as :func:`history.check` takes them."""
        first = (self.predictions, self.digests)
        later = (self.truth, self.result)
        return ((NAME,), *(tuple(map(relative, of)) for of in (first, later)))

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
        self.committed()
        return super().check()

    def open(self, truth: Mapping[str, np.ndarray], result: Mapping[str, Any]) -> None:
        """Write the truth and the result that follows from it, once.

        Args:
            truth: Dice, which is written in units of 1/65535.

        Raises:
            PassbandError: If the lock was opened before, or its files are not those committed.
        """
        digests = json.loads(self.digests.read_text(encoding="utf-8"))
        arrays = {name: in_units(D) for name, D in truth.items()}
        super().open(arrays, digests | dict(result))

    def dice(self) -> dict[str, np.ndarray]:
        """Return the truth, the Dice that was written when the lock was opened."""
        return {name: D / UNIT for name, D in self.arrays().items()}


@dataclass(frozen=True, kw_only=True)
class LockPage(Page):
    """The page of a lock.

    Attributes:
        scored: Returns the result that follows from :meth:`Lock.dice`.
        rounding: How much the result may differ. It mostly follows from Dice as it is stored.
    """

    lock: Lock
    scored: Callable[[Mapping[str, np.ndarray]], Mapping[str, Any]]
    rounding: float = 1e-9

    def write(self) -> None:
        """Write the tables of the lock's result into the page."""
        self.fill(self.lock.found)

    def recompute(self) -> Iterator[str]:
        """Yield a line for the result, which follows from its files, and for what pages say of it.

        Raises:
            PassbandError: If a number differs.
        """
        again = self.scored(self.lock.dice())
        yield committed.document(self.lock.result, again, self.rounding)
        yield from self.compared(self.lock.found())


def relative(path: Path) -> str:
    """Return a file's path in the folder of this work."""
    return str(path.relative_to(FOLDER))


def in_units(D: np.ndarray) -> np.ndarray:
    """Return Dice, 0 to 1, in units of 1/65535 as uint16."""
    return np.rint(np.asarray(D) * UNIT).astype(np.uint16)


def as_stored(D: np.ndarray) -> np.ndarray:
    """Return Dice as it is read again, so that a result follows from the files."""
    return in_units(D) / UNIT
