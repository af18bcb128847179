"""Which training conditions are next, and their training."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from passband.door.answering import Answering, of_axes
from passband.door.opened import Wanted, makes, shows, with_values
from passband.door.running import Running
from passband.errors import ArgumentError
from passband.outcomes import Progress
from passband.words import number_of

if TYPE_CHECKING:
    from passband.answers.next_conditions import TrainedNext
    from passband.prediction.recommend.sequential_design import Next


class Choosing(Answering, Running):
    """The verbs that choose training conditions."""

    @shows
    def next(
        self,
        budget: int,
        use: Mapping[str, Wanted] | None = None,
        specimen: str | None = None,
        *,
        between: int | None = None,
        append: bool = False,
        report: Callable[[str], object] = lambda line: None,
        **values: Wanted,
    ) -> "Next":
        """Return the training conditions whose networks would teach most about the matrix.

        Args:
            budget: Largest number of conditions to choose.
            use: The range that counts: values or ranges such as ``"5:40"`` by the names of axes. By
                default, the study's test conditions count.
            specimen: The test specimen, which is needed if the study has several.
            between: Number of candidates between neighbouring values of an axis. By default, 0
                while conditions of the study have no networks, then 1.
            append: Whether the conditions are added to the study's file of points.
            report: Receives a line about this file.
            values: The range that counts, as keywords. A slice is a range.

        Returns:
            `conditions`, in the order in which they were chosen, `errors`, and more, see
            :class:`passband.prediction.recommend.sequential_design.Next`.

        Raises:
            PassbandError: If the study has too few results, if the range is wrong, or if no
                candidate is left.

        Example:
            >>> found = demo.next(1, defocus_nm=slice(5, 15), between=1)
            >>> (condition,), (now, afterwards) = found.conditions, found.errors
        """
        from passband.answers import next_conditions

        next_conditions.check(budget, between)
        self.refuse_published()
        asked = of_axes(with_values(use, values))
        file = self.points_file if append else None
        tested = self.tested(specimen).without_mixtures()
        candidates = next_conditions.candidate_conditions(tested, between)
        found = next_conditions.next_conditions(tested, budget, asked, candidates=candidates)
        if file is not None:
            number = next_conditions.append(file, found.conditions)
            report(
                f"{file}: has {number_of(number, 'point')}; the study lists the file with "
                f"grid: [{{…}}, {{points: {file.name}}}]"
            )
        return found

    @makes
    def train_next(
        self,
        budget: int,
        until: float,
        use: Mapping[str, float | str | None] | None = None,
        specimen: str | None = None,
        *,
        between: int | None = None,
        cores: int | str | None = None,
        profile: str | None = None,
        report: Callable[[str], object] = lambda line: None,
        progress: Progress | None = None,
    ) -> "TrainedNext":
        """Choose conditions, append them and run the study, until the expected error is small.

        The study must list its file of points, see docs/next.md. It is opened again in each turn.

        Args:
            budget: Largest number of conditions to choose.
            until: The expected error of Dice at which this ends, between 0 and 1.
            use, specimen, between: See :meth:`next`.
            cores, profile, progress: See :meth:`run`.
            report: Receives a line after each run.

        Returns:
            How many conditions were `used`, and what was expected at `last`.

        Raises:
            PassbandError: As :meth:`next` and :meth:`run`, or if the study does not list its file
                of points.

        Example:
            >>> demo.train_next(40, until=0.05)  # doctest: +SKIP
        """
        from passband.answers import next_conditions

        next_conditions.check(budget, between)
        if not 0 < until < 1:
            raise ArgumentError(f"until = {until:g}: must be between 0 and 1, a Dice")
        asked = of_axes(use)
        used = 0
        candidates = None
        while True:
            study = type(self).find(self.noun)  # with the points that were added before
            study.trusts_stored = self.trusts_stored
            next_conditions.check_listed(study.study, study.points_file, until)
            next_conditions.range_of_use(study.study, asked)  # mistakes are named before a run
            study.run(cores, profile=profile, progress=progress)
            tested = study.tested(specimen).without_mixtures()
            if candidates is None:
                candidates = next_conditions.candidate_conditions(tested, between)
            trained = {id for rows in tested.of_matrices for id in rows.train}
            batch = min(budget - used, max(1, len(trained) // 2))
            found = next_conditions.next_conditions(
                tested, batch, asked, candidates=candidates, until=until
            )
            report(
                f"{found.trained} training conditions: expected error {found.errors[0]:.3f}, "
                f"cross-validation {found.checked:.3f}"
            )
            if found.errors[0] <= until or not found.conditions:
                return next_conditions.TrainedNext(found, used=used, budget=budget, until=until)
            next_conditions.append(study.points_file, found.conditions)
            used += len(found.conditions)

    @property
    def points_file(self) -> Path:
        """The CSV file with the points of the study, beside the study's file."""
        return self.file.with_name(f"{self.study.study.name}-points.csv")
