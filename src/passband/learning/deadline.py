"""The rule that decides when training saves its state, and when training must stop."""

import time

from passband import environment
from passband.errors import PassbandError
from passband.log_lines import TIME_LIMIT

#: Time between two saves of a training state [s]. A save of a large network takes seconds.
SAVE_EVERY_S = 120.0
#: Name of the environment variable that replaces :data:`SAVE_EVERY_S`.
SAVE_EVERY = "PASSBAND_SAVE_EVERY_S"


class StoppedError(PassbandError):
    """Training was stopped before its end. The message says whether the state is saved.

    If the state is saved, the same call of training continues from this state.
    """


class StopCondition:
    """Decides when training saves its state, and when it stops.

    Training stops at a deadline, or on request.

    Args:
        save_every: Interval between saves [s]; by default :data:`SAVE_EVERY_S`, or what the
            environment says.
        budget: Time after which training stops [s]. By default, there is no time limit.
    """

    def __init__(self, save_every: float | None = None, budget: float | None = None):
        if save_every is None:
            save_every = environment.seconds(SAVE_EVERY, SAVE_EVERY_S)
        self._save_every, self._saved = save_every, time.monotonic()
        self._deadline = None if budget is None else time.monotonic() + budget
        self._requested = ""

    @property
    def reason_to_stop(self) -> str:
        """Why training must stop: a signal's name, or :data:`passband.log_lines.TIME_LIMIT`.

        The reason is "" if training may continue.
        """
        if self._requested:
            return self._requested
        over = self._deadline is not None and time.monotonic() > self._deadline
        return TIME_LIMIT if over else ""

    def request(self, reason: str) -> None:
        """Request that training stops after the present step; `reason` is the name of a signal."""
        self._requested = reason

    def time_to_save(self) -> bool:
        """Return whether a save is due. If so, the next save is due one interval later."""
        due = time.monotonic() - self._saved >= self._save_every
        if due:
            self._saved = time.monotonic()
        return due
