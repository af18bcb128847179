"""The status of a study, as it is returned to Python."""

from typing import Any, Self

from passband.outcomes import Outcome
from passband.results import Results
from passband.runs import status_page
from passband.runs.job_states import Run
from passband.runs.study_jobs import Job


class Status(Outcome):
    """Which jobs of a study are done, run, have failed or wait.

    Attributes:
        run: The state of each job.
    """

    def __init__(self, results: Results):
        self.run = Run(results)

    @classmethod
    def read(cls, results: Results) -> Self:
        """Return the status of a study now."""
        found = cls(results)
        found.look()
        return found

    def look(self) -> None:
        """Read the status again."""
        self.run.read(logs=True)

    @property
    def complete(self) -> bool:
        """Whether all that the study needs is done."""
        return self.run.complete

    @property
    def left(self) -> int:
        """The number of jobs that a run would run now."""
        return self.run.left

    @property
    def over(self) -> bool:
        """Whether no job will run until somebody starts one."""
        return self.run.over

    @property
    def failed(self) -> list[Job]:
        """The failed jobs, the newest first."""
        return self.run.failures

    def __str__(self) -> str:
        return self.text()

    def text(self, width: int = 80, colour: bool = False) -> str:
        """Return the page that `passband status` prints, for a terminal with so many columns."""
        return status_page.render(self.run, width, colour)

    def values(self) -> dict[str, Any]:
        """Return what :meth:`to_json` writes, by name. docs/cluster.md describes the keys."""
        return status_page.values(self.run)
