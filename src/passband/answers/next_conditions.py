"""Reads a study's results, and chooses the training conditions that teach most about its matrix.

The choice itself is in :mod:`passband.prediction.recommend.sequential_design`.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from passband.answers.recommendation import asked_of
from passband.answers.tested_networks import TestedNetworks
from passband.axes import AXES
from passband.config import Study, point_table
from passband.config.study_checks import is_allowed
from passband.errors import ArgumentError, PassbandError
from passband.grid import Axes, Condition
from passband.outcomes import Outcome
from passband.prediction.range_of_use import Asked, ranges
from passband.prediction.recommend import sequential_design as prediction
from passband.prediction.recommend.sequential_design import Next
from passband.storage import atomic

#: Largest number of conditions to choose.
MOST = 1000
#: Largest number of values between two values of an axis.
MOST_BETWEEN = 9


@dataclass(frozen=True)
class TrainedNext(Outcome):
    """What came of choosing and training conditions in turns.

    Attributes:
        last: What was expected after the last run.
        used: How many conditions were chosen and trained, of the `budget`.
        until: The expected error that was asked for.
    """

    last: Next
    used: int
    budget: int
    until: float

    @property
    def reached(self) -> bool:
        """Whether the expected error is as small as was asked for."""
        return self.last.errors[0] <= self.until

    def __str__(self) -> str:
        why = "at most" if self.reached else "above"
        return f"stopped after {self.used} of {self.budget} conditions: {why} {self.until:g}"


def check_listed(study: Study, points: Path, until: float) -> None:
    """Check that a study has the points of its file, so that a run trains them."""
    listed = f"grid: [{{…}}, {{points: {points.name}}}]"
    if not points.exists():
        raise ArgumentError(
            f"until = {until:g}: there is no {points} yet; choose the first conditions "
            f"with append, and list the file in the study as {listed}",
            "until",
            "append",
        )
    if not set(read_points(points, study.axes)) <= set(study.train_conditions):
        raise ArgumentError(
            f"until = {until:g}: the study does not train the points of {points}; list "
            f"the file in the study as {listed}"
        )


def check(budget: int, between: int | None) -> None:
    """Raise ArgumentError if so many conditions, or values between others, are not allowed."""
    if not 1 <= budget <= MOST:
        raise ArgumentError(f"budget = {budget}: must be between 1 and {MOST:,}")
    if between is not None and not 0 <= between <= MOST_BETWEEN:
        raise ArgumentError(f"between = {between}: must be between 0 and {MOST_BETWEEN}")


def next_conditions(
    tested: TestedNetworks,
    budget: int,
    given: Mapping[str, str | float | None],
    *,
    candidates: Sequence[Condition],
    until: float = 0.0,
) -> Next:
    """Return the training conditions that teach most.

    Args:
        budget: Largest number of conditions to choose.
        given: The range of use: for each axis a value or a range, see
            :meth:`passband.prediction.range_of_use.Asked.parse`. An axis with None has the range of
            the study's test conditions. If all are None, the study's test conditions are the range
            of use.
        candidates: The conditions among which the next ones are chosen.
        until: No more conditions are chosen once the expected error is at most this error.

    Raises:
        PassbandError: If the range of use is wrong or has too low a dose, or if no candidate is
            left.
    """
    study = tested.study
    asked = range_of_use(study, given)
    every = [set(rows.train) for rows in tested.of_matrices]
    test, weights = None, None
    if asked is not None:
        points, weights = asked.points()
        tested = tested.covering(points)
        tested.doses.check(points)
        test = tested.profiles([tested.doses.known(point) for point in points])
    profiles = tested.profiles(candidates)
    ids = [condition.id for condition in candidates]
    unknowns = [
        prediction.unknown(
            fitted.model,
            profiles,
            np.array([id in trained for id in ids]),
            test,
            weights,
            study.study.replicas,
        )
        for fitted, trained in zip(tested.fitted, every, strict=True)
    ]
    places, errors = prediction.choose(unknowns, budget, until)
    return Next(
        study.study.name,
        tested.specimen,
        asked,
        len(set.union(*every)),
        len(candidates),
        tuple(candidates[place] for place in places),
        tuple(errors),
        _checked(tested),
    )


def range_of_use(study: Study, given: Mapping[str, str | float | None]) -> Asked | None:
    """Return the range of use, or None for the study's test conditions."""
    if all(value is None for value in given.values()):
        return None
    of_study = ranges(study.test_conditions)
    # Between the values of an axis that needs other exit waves, the study has no exit waves.
    whole = {
        name: f"{low:.12g}:{high:.12g}"
        for name, (low, high) in of_study.items()
        if not AXES[name].needs_waves
    }
    chosen = whole | {name: text for name, text in given.items() if text is not None}
    return asked_of(study, chosen)


def candidate_conditions(tested: TestedNetworks, between: int | None = None) -> list[Condition]:
    """Return conditions that have no networks in some matrix, at most as many as are compared.

    Args:
        between: Number of values between neighbouring values of an axis. By default, the candidates
            are the study's own training conditions; or if all of these have networks, there is one
            value between neighbours.

    Raises:
        PassbandError: If there is no candidate.
    """
    study = tested.study
    in_all = set.intersection(*(set(rows.train) for rows in tested.of_matrices))
    own = [condition for condition in study.train_conditions if condition.id not in in_all]
    if between is None and own:
        return prediction.thinned(own, study.study.seed)
    known = [study.axes.parse(id) for id in in_all]
    every = [*study.train_conditions, *known]
    drawn = prediction.untrained(
        every, 1 if between is None else between, trained=in_all, seed=study.study.seed
    )
    new = [condition for condition in drawn if is_allowed(study, condition, "train")]
    if not new:
        raise PassbandError(
            f"{tested.results}: every candidate has networks already; give more values between "
            f"those of the grid with --between (0 to {MOST_BETWEEN})"
        )
    return new


def _checked(tested: TestedNetworks) -> float:
    """Return the error in the cross-validation, root mean square over the matrices."""
    profiles = tested.profiles
    test = profiles([*tested.tested, *tested.further])
    squares = [
        prediction.cross_validated(
            rows.dice,
            profiles([Condition.parse(id) for id in rows.train]),
            test,
            fitted.model.theta,
            tested.study.study.seed,
        )
        ** 2
        for rows, fitted in zip(tested.of_matrices, tested.fitted, strict=True)
    ]
    return float(np.sqrt(np.mean(squares)))


def append(path: Path, conditions: Sequence[Condition]) -> int:
    """Add conditions to a CSV file of points, and return how many points the file has then.

    The file is written completely or not at all. Its columns are the keys of the axes. Conditions
    that the file has already are not added again.

    Raises:
        PassbandError: If the file exists and :func:`read_points` refuses it.
    """
    axes = conditions[0].axes
    known = read_points(path, axes) if path.exists() else []
    points = list(dict.fromkeys([*known, *conditions]))
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(axes.names)
    rows.writerows([f"{point.value(name):.12g}" for name in axes.names] for point in points)
    with atomic.replacing(path) as beside:
        beside.write_text(text.getvalue(), encoding="utf-8")
    return len(points)


def read_points(path: Path, axes: Axes) -> list[Condition]:
    """Return the conditions in a study's CSV file of points.

    Raises:
        PassbandError: If :func:`passband.config.point_table.read` refuses the file, or if its
            columns are not those of the study's axes.
    """
    try:
        table = point_table.read(str(path), Path())
    except ValueError as error:
        raise PassbandError(str(error)) from None
    columns = list(table.points[0])
    if sorted(columns) != sorted(axes.names):
        raise PassbandError(
            f"{table.first_line}: has columns for {', '.join(columns)}; must have columns for "
            f"{', '.join(axes.names)}"
        )
    return [axes.condition(point) for point in table.points]
