"""Checks a study, and says how long it will take."""

from pathlib import Path
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
    def plan(
        self,
        seconds: float = 12.0,
        *,
        rates: str | Path | None = None,
        together: int | None = None,
        save_rates: str | Path | None = None,
        progress: Progress | None = None,
    ) -> "Plan":
        """Measure how long the study will take on this machine, and what memory and files it needs.

        Args:
            seconds: Duration of the measurement [s].
            rates: A file with the rates of another machine, whose time is given instead.
            together: With `rates`: the number of jobs that run at a time; by default 1.
            save_rates: Also write the rates of this machine to a file.
            progress: Is called with the name of each part before it is measured; how many there are
                is not known.

        Raises:
            PassbandError: If an argument is wrong, as :meth:`check`.
        """
        if not 0 <= seconds <= 3600:
            raise ArgumentError(f"seconds = {seconds:g}: must be between 0 and 3600")
        if rates is not None and save_rates is not None:
            raise ArgumentError(
                "save_rates: must not be given together with rates", "save_rates", "rates"
            )
        if together is not None and rates is None:
            raise ArgumentError(
                f"together = {together}: must be given together with rates", "together", "rates"
            )
        if together is not None and together < 1:
            raise ArgumentError(f"together = {together}: must be at least 1")
        self.refuse_published()
        self.try_parts()
        from passband.runs import calibration, file_sizes, plan
        from passband.runs import rates as of_machines

        measured = 0

        def say(part: str) -> None:
            nonlocal measured
            if progress is not None:
                progress(measured, 0, f"measuring {part}")
            measured += 1

        if rates is not None:
            speeds = of_machines.read(Path(rates)).speeds(self.study)
            say("sizes of files")
            sizes = file_sizes.measured(self.study)
            return plan.plan(self, speeds, sizes, together=together or 1)
        found = calibration.calibrate(self.study, seconds, say)
        if save_rates is not None:
            of_machine = of_machines.Rates.of(self.study, found.speeds)
            of_machines.write(Path(save_rates), of_machine)
        return plan.plan(
            self, found.speeds, found.sizes, memory=found.memory, by_torch=found.by_torch
        )

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
