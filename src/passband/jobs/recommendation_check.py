"""Tests all networks of a study under drawn microscopes, and checks the recommendations there."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import xarray as xr

from passband import PassbandError
from passband.config import Study
from passband.grid import Condition
from passband.jobs.extra import evaluate_extra
from passband.jobs.recommendation import is_allowed
from passband.jobs.tested_networks import TestedNetworks
from passband.prediction.asked import ranges
from passband.prediction.choice_rules import Networks
from passband.prediction.drawn_microscopes import drawn_inside, drawn_outside
from passband.prediction.recommendation import expected_dice
from passband.prediction.recommendation_check import Check, check

#: The number of microscopes outside the ranges is the number of microscopes inside, divided by this
#: number.
_INSIDE_PER_OUTSIDE = 3


def microscopes(study: Study, number: int, seed: int) -> tuple[list[Condition], list[Condition]]:
    """Return the drawn microscopes inside and outside the ranges of a study's test conditions.

    Studies with the same ranges and the same microscope have the same draws.
    """

    def allowed(condition: Condition) -> bool:
        return is_allowed(study, condition)

    own = study.own_values
    of_study = ranges(study.test_conditions, own)
    inside = drawn_inside(of_study, number, seed, allowed, own)
    return inside, drawn_outside(of_study, number // _INSIDE_PER_OUTSIDE, seed, allowed, own)


def run(
    study: Study,
    results: Path,
    number: int,
    seed: int = 0,
    specimen: str | None = None,
    progress: Callable[[Iterable], Iterable] = iter,
    log: Callable[[str], object] = lambda line: None,
) -> Check:
    """Test all networks under drawn microscopes, and return the scores of the recommendations.

    The models are fitted to the table of results alone, so they know no result under the drawn
    microscopes. The results under the drawn microscopes are kept as further results of the study,
    see :func:`passband.jobs.extra.evaluate_extra`, so that a second check takes little time.

    Parameters
    ----------
    study, results
        The configuration, and the study's folder of results.
    number : int
        Number of microscopes inside the ranges. A third of this number is drawn outside.
    seed : int
        Seed of the draws.
    specimen : str, optional
        The test specimen, which is needed if the study has several.
    progress, log : callable
        See :func:`passband.jobs.extra.evaluate_extra`.

    Raises
    ------
    PassbandError
        If the study has no results or too few conditions, or if a test fails.
    """
    tested = TestedNetworks.open(study, results, specimen, with_extra=False)
    inside, outside = microscopes(study, number, seed)
    drawn = [*inside, *outside]
    evaluate_extra(study, results, drawn, progress=progress, log=log)
    groups, known = tested.groups, tested.of_groups
    networks = Networks(
        tuple(id for group in groups for id in group.networks),
        tuple(Condition.parse(id) for group in groups for id in group.train),
        np.concatenate([D for _, _, D in known.values()]),
        tuple(tested.tested),
        tuple("/".join(id.split("/")[:-1]) for group in groups for id in group.networks),
        study.own_values,
    )
    empty = tested.measured([])
    expected = expected_dice(groups, empty, drawn, tested.profiles)
    with_results = TestedNetworks.open(study, results, tested.specimen)
    tested_ids = [c.id for c in (*with_results.tested, *with_results.further)]
    if lacking := [c.id for c in drawn if c.id not in tested_ids]:
        raise PassbandError(
            f"{results}: some networks have no results under {len(lacking)} of the drawn "
            "microscopes; were networks removed, or trained again since the table of results was "
            "made? Run the study first"
        )
    places = [tested_ids.index(c.id) for c in drawn]
    true = xr.DataArray(
        np.concatenate([D[:, places] for _, _, D in with_results.of_groups.values()]),
        {"network": list(networks.ids), "test": [c.id for c in drawn]},
        ("network", "test"),
    )
    return check(networks, expected, true, inside, outside, tested.profiles, seed)
