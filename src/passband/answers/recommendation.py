"""Recommends the networks of a finished study for a condition that a user asks about.

The ranking itself is in :mod:`passband.prediction.recommend.network_ranking`.
"""

from collections.abc import Mapping
from dataclasses import replace

from passband.answers.tested_networks import TestedNetworks
from passband.axes import AXES
from passband.config import Study, study_checks
from passband.config.study_checks import is_allowed
from passband.errors import PassbandError
from passband.prediction.range_of_use import Asked
from passband.prediction.recommend import network_ranking
from passband.prediction.recommend.network_ranking import Recommendation


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
    """Return the networks of a study, ranked for a condition."""
    points, _ = asked.points()
    tested = tested.covering([*points, asked.middle])
    found = network_ranking.recommend(
        tested.fitted,
        tested.measured(points),
        tested.tested,
        tested.further,
        asked,
        tested.profiles,
        tested.specimen,
        tested.study.train_axes if tested.ranked is None else None,
        lambda condition: is_allowed(tested.study, condition, "train"),
        tested.unlearned,
    )
    found = replace(
        found,
        study=tested.study.study.name,
        remark=tested.remark,
    )
    if tested.ranked is None:
        return found
    return replace(
        found,
        networks=tuple(n for n in found.networks if n.id in tested.ranked),
        unlearned=tuple(id for id in found.unlearned if id in tested.ranked),
    )
