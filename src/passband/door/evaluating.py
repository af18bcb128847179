"""Tests of a study's networks under further conditions."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from passband.config import given_conditions
from passband.door.answering import Answering
from passband.door.opened import Conditions, makes
from passband.errors import ArgumentError
from passband.outcomes import Progress, counted
from passband.results import listing

if TYPE_CHECKING:
    from passband.answers.further_tests import Evaluated


class Evaluating(Answering):
    """The verb that tests networks."""

    @makes
    def evaluate(
        self,
        conditions: Conditions,
        processes: int | None = None,
        *,
        report: Callable[[str], object] = lambda line: None,
        progress: Progress | None = None,
    ) -> "Evaluated":
        """Test the finished networks under further conditions, and keep the results.

        What is tested already is not tested again. The results help :meth:`recommend`.

        Args:
            conditions: One or several, see :meth:`condition`; or a CSV file, see docs/metrics.md.
                They may lie outside the study's grids.
            processes: By default as many as cores, memory and the work allow.
            report: Receives a line if another process does the same work.
            progress: Is called with the numbers of tested training conditions and of all.

        Returns:
            The number of `networks` and the `conditions` under which they are tested now.

        Raises:
            PassbandError: If images cannot be formed under a condition, if no network is finished,
                if a file is missing or damaged, or if the study's file asks for other networks or
                exit waves than are there.

        Example:
            >>> here = {"defocus_nm": 7, "cs_um": 1.2, "aperture_mrad": 16, "dose_e_per_A2": 200}
            >>> found = demo.evaluate(here, processes=1)
            >>> found.networks == len(demo.networks)
            True
        """
        from passband.answers import further_tests
        from passband.store import made

        given = self.given_conditions(conditions)
        if not given:
            raise ArgumentError("conditions: none is given; give one, or a CSV file")
        if processes is not None and not 1 <= processes <= 1024:
            raise ArgumentError(f"processes = {processes}: must be between 1 and 1024")
        self.refuse_published()
        listing.refuse_02(self.folder)
        self.refuse_mixed(*made.OF_NETWORKS)
        made.check_belong(self)
        found = further_tests.evaluate_further(
            self,
            given_conditions.conditions(self.study, given),
            processes=processes,
            progress=counted(progress, "training conditions"),
            log=report,
        )
        self._tested.clear()  # which do not know these results
        return found
