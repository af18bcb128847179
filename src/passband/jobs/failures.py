"""Failures of single training conditions in a job that has the networks of several conditions."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from passband.errors import PassbandError
from passband.learning.deadline import StoppedError
from passband.storage import DamagedError, FullError
from passband.storage.lease import LostError

logger = logging.getLogger("passband")

#: Errors that end a job at once. The other conditions of the job would have the same error, or the
#: job must set a file aside.
_OF_THE_JOB = StoppedError, LostError, FullError, DamagedError


class Failures:
    """Collects the failures of a job's conditions, so that the job first finishes the others.

    Args:
        conditions: Number of training conditions of the job. The failure of a single condition is
            not collected: its error ends the job.
    """

    def __init__(self, conditions: int):
        self._conditions = conditions
        self._errors: dict[str, Exception] = {}

    @contextmanager
    def collected(self, condition: str) -> Iterator[None]:
        """Run a block of code for a condition. If it fails, log and keep the error."""
        try:
            yield
        except _OF_THE_JOB:
            raise
        except Exception as error:
            if self._conditions == 1:
                raise
            logger.exception("%s: failed", condition)
            self._errors[condition] = error

    def check(self, kept: str) -> None:
        """Raise an error if a condition has failed.

        Args:
            kept: What the job keeps of the other conditions, for the message.

        Raises:
            PassbandError: The message names all conditions that failed, and the error of the first
                one.
        """
        if not self._errors:
            return
        first, *others = self._errors
        also = f"; also {', '.join(others)}" if others else ""
        raise PassbandError(
            f"{len(self._errors)} of {self._conditions} conditions failed, and the {kept} of the "
            f"others are kept; {first}: {' '.join(str(self._errors[first]).split())}{also}"
        )
