"""Checks a study, and says how long it will take."""

from typing import TYPE_CHECKING

from passband.door.opened import Opened, makes
from passband.errors import ArgumentError
from passband.outcomes import Progress

if TYPE_CHECKING:
    from passband.runs.plan import Checked, Plan
    from passband.runs.preflight import Preflight


class Checking(Opened):
    """The verbs that a study is asked before it runs."""

    @makes
    def check(self) -> "Checked":
        """Return what the study has, and how many jobs it needs.

        Raises:
            PassbandError: If a particle does not fit, or if a part of the study's own is wrong.

        Example:
            >>> checked = demo.check()
        """
        from passband.runs.plan import Checked

        self.refuse_published()
        self.try_parts()
        return Checked(self.study)

    @makes
    def plan(self, seconds: float = 12.0, *, progress: Progress | None = None) -> "Plan":
        """Measure how long the study will take on this machine, and what memory and files it needs.

        Args:
            seconds: Duration of the measurement [s].
            progress: Is called with the name of each part before it is measured; how many there are
                is not known.

        Raises:
            PassbandError: If an argument is wrong, as :meth:`check`.
        """
        if not 0 <= seconds <= 3600:
            raise ArgumentError(f"seconds = {seconds:g}: must be between 0 and 3600")
        self.refuse_published()
        self.try_parts()
        from passband.runs import calibration, plan

        measured = 0

        def say(part: str) -> None:
            nonlocal measured
            if progress is not None:
                progress(measured, 0, f"measuring {part}")
            measured += 1

        return plan.plan(self, calibration.calibrate(self.study, seconds, say))

    @makes
    def preflight(self) -> "Preflight":
        """Check whether this machine can run the study's jobs.

        Returns:
            `checks`, the result of each check by its name, with what to do if it failed; and
            `failed`, the names of those.
        """
        from passband.runs import preflight

        self.refuse_published()
        return preflight.run(self)
