"""Recommends the networks of a finished study for a condition that a user asks about.

    from passband.jobs.recommendation import recommend

    best = recommend("demo", {"defocus_nm": 12, "cs_um": 5, "aperture_mrad": 15,
                              "dose_e_per_A2": "100:400"}).networks[0]
    print(best.id, best.dice.value)

The ranking itself is in :mod:`passband.prediction.network_ranking`.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from passband import PassbandError
from passband.axes import AXES
from passband.config import Study, study_checks
from passband.grid import Condition
from passband.jobs.microscopes import is_allowed
from passband.jobs.tested_networks import TestedNetworks
from passband.prediction import network_ranking
from passband.prediction.network_ranking import Recommendation
from passband.prediction.range_of_use import Asked
from passband.results import Results


def recommend(
    study: str | Path,
    condition: Condition | Asked | Mapping[str, str | float],
    specimen: str | None = None,
) -> Recommendation:
    """Return the networks of a study, ranked by their expected Dice under a condition.

    Args:
        study: A study's file, the study's folder of results, the study's name, or a published
            folder.
        condition: The asked condition, which may be one of another study. In a mapping, the value
            of an axis such as ``defocus_nm`` is a number, or a range such as ``"-10:25"``. A
            further axis that is missing has the study's own value.
        specimen: The test specimen, which is needed if the study has several.

    Raises:
        PassbandError: If the condition is wrong, or if the study has no results or too few
            conditions.
    """
    given = Results(None, study)
    tested = TestedNetworks.open(given if given.is_published else Results.find(study), specimen)
    if isinstance(condition, Condition):
        condition = condition.values()
    if not isinstance(condition, Asked):
        condition = asked_of(tested.study, condition)
    return recommend_from(tested, condition)


def asked_of(study: Study, given: Mapping[str, str | float | None]) -> Asked:
    """Return the asked condition from the words of a user about a study, see `Asked.parse`.

    Raises:
        PassbandError: See `Asked.parse`; also if the study does not have the exit waves of the
            condition, or if the aperture is beyond the band limit of its pixels.
    """
    asked = Asked.parse(given, study.axes)
    for name in asked.ranged:
        if AXES[name].needs_waves:
            raise PassbandError(
                f"{AXES[name].option} = {given[name]!r}: must be a number, since the study has "
                "exit waves of single values only"
            )
    try:
        study_checks.check_has_waves(study, asked.low)
        study_checks.check_aperture(study, asked.high)
    except ValueError as error:
        raise PassbandError(str(error)) from None
    return asked


def recommend_from(tested: TestedNetworks, asked: Asked) -> Recommendation:
    """Return the ranked networks for the asked condition, see :func:`recommend`."""
    points, _ = asked.points()
    tested = tested.covering([*points, asked.middle])
    found = network_ranking.recommend(
        tested.groups,
        tested.measured(points),
        tested.tested,
        tested.further,
        asked,
        tested.profiles,
        tested.specimen,
        tested.study.train_axes if tested.ranked is None else None,
        lambda condition: is_allowed(tested.study, condition, "train"),
        tested.unlearned_ids,
    )
    if tested.ranked is None:
        return found
    return replace(
        found,
        networks=tuple(n for n in found.networks if n.id in tested.ranked),
        unlearned=tuple(id for id in found.unlearned if id in tested.ranked),
    )
