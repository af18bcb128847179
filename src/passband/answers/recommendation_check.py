"""Checks recommendations under drawn microscopes.

The networks are tested there, unless the table of results has the results of all first replicas,
see the key `evaluation.microscopes`.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import xarray as xr

from passband import PassbandError
from passband.answers.further_tests import evaluate_extra
from passband.answers.tested_networks import TestedNetworks
from passband.grid import Condition
from passband.prediction.recommend.choice_rules import Networks
from passband.prediction.recommend.choice_scores import Check, check
from passband.prediction.recommend.microscopes import microscopes
from passband.prediction.recommend.network_ranking import expected_dice
from passband.results import Results
from passband.storage import records


def run(
    results: Results,
    number: int,
    seed: int = 0,
    specimen: str | None = None,
    progress: Callable[[Iterable], Iterable] = iter,
    log: Callable[[str], object] = lambda line: None,
) -> Check:
    """Return the scores of the recommendations under drawn microscopes.

    If the table of results has the results of all first replicas under all drawn microscopes, no
    network is tested. The check then judges the first replicas alone, as those of a study without
    further replicas: the models are fitted to their results, and only they are recommended. So it
    needs neither networks nor exit waves. Otherwise, all networks are tested under the microscopes.
    These results are kept as further results of the study, see
    :func:`passband.answers.further_tests.evaluate_extra`, so that a second check takes little time.

    The models know only the test conditions in the table of results. They know no result under the
    drawn microscopes.

    Args:
        number: Number of microscopes inside the ranges. A third of this number is drawn outside.
        specimen: The test specimen, which is needed if the study has several.
        progress, log: See :func:`passband.answers.further_tests.evaluate_extra`.

    Raises:
        PassbandError: If the study has no results or too few conditions, or if a test fails.
    """
    study, tested = results.study, TestedNetworks.open(results, specimen, with_extra=False)
    inside, outside = microscopes(study, number, seed)
    drawn = [*inside, *outside]
    first = _first_replicas(tested)
    true = _table_dice(first, drawn)
    if from_table := true is not None:
        tested = first
    else:
        _tell_tests(tested, drawn, log)
        evaluate_extra(results, drawn, progress=progress, log=log)
    groups, known = tested.groups, tested.of_groups
    networks = Networks(
        tuple(id for group in groups for id in group.networks),
        tuple(study.axes.parse(id) for group in groups for id in group.train),
        np.concatenate([D for _, _, D in known.values()]),
        tuple(tested.tested),
        tuple(str(id.cell) for _, ids, _ in known.values() for id in ids),
    )
    empty = tested.measured([])
    expected = expected_dice(groups, empty, drawn, tested.profiles)
    true = xr.DataArray(
        true if from_table else _extra_dice(tested, drawn),
        {"network": list(networks.ids), "test": [c.id for c in drawn]},
        ("network", "test"),
    )
    return check(networks, expected, true, inside, outside, tested.profiles, seed, from_table)


def _first_replicas(tested: TestedNetworks) -> TestedNetworks:
    """Return the first replica of each training condition, if the table has its results."""
    replicas = [r for r in tested.table.replica.values.tolist() if r == records.FIRST]
    return replace(tested, table=tested.table.sel(replica=replicas))


def _table_dice(first: TestedNetworks, drawn: list[Condition]) -> np.ndarray | None:
    """Return first replicas' Dice (network, microscope) from the table, or None."""
    ids = [condition.id for condition in drawn]
    known = set(records.values_along(first.table, records.MICROSCOPE))
    if not set(ids) <= known or not first.of_groups:
        return None
    D = first.table.microscope_dice.sel({records.MICROSCOPE: ids})
    of_groups = [
        D.sel(specimen=specimen, architecture=architecture, train=train)
        .transpose("train", records.MICROSCOPE)
        .values
        for (specimen, architecture), (train, *_) in first.of_groups.items()
    ]
    values = np.concatenate(of_groups).astype(float)
    return values if np.isfinite(values).all() else None


def _tell_tests(
    tested: TestedNetworks, drawn: list[Condition], log: Callable[[str], object]
) -> None:
    """Say that networks are tested, and why if the table of results has drawn microscopes."""
    known = set(records.values_along(tested.table, records.MICROSCOPE))
    if known:
        lacking = sum(condition.id not in known for condition in drawn)
        what = f"{lacking} of the {len(drawn)} microscopes" if lacking else "some first replicas"
        log(f"the table of results lacks {what}, so all networks are tested")
    else:
        log(f"testing all networks under {len(drawn)} microscopes, unless earlier calls did")


def _extra_dice(tested: TestedNetworks, drawn: list[Condition]) -> np.ndarray:
    """Return the Dice (network, microscope) of all networks from the study's further results."""
    results = tested.results
    with_results = TestedNetworks.open(results, tested.specimen)
    tested_ids = [c.id for c in (*with_results.tested, *with_results.further)]
    if lacking := [c.id for c in drawn if c.id not in tested_ids]:
        raise PassbandError(
            f"{results}: some networks have no results under {len(lacking)} of the drawn "
            "microscopes; were networks removed, or trained again since the table of results was "
            "made? Run the study first"
        )
    places = [tested_ids.index(c.id) for c in drawn]
    return np.concatenate([D[:, places] for _, _, D in with_results.of_groups.values()])
