"""Checks recommendations under drawn microscopes, beside simpler rules.

    python -m findings.choosing.drawn_check twelve-thousand 100  # 100 microscopes inside; 6 minutes
    python -m findings.choosing.drawn_check demo 300 1  # those of the seed 1

Run it from the repository's root; the first command, after `python -m findings.twelve_thousand
merge`. The networks are tested there, unless the table of results has the results of all first
replicas, see the key `evaluation.microscopes`.
"""

import sys
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from findings.choosing.rules import Networks
from findings.choosing.scores import Check, Half, check, text
from passband import PassbandError
from passband.answers.further_tests import evaluate_extra
from passband.answers.tested_networks import TestedNetworks
from passband.grid import Condition
from passband.matrices.of_study import matrices
from passband.matrices.packed import DRAWN
from passband.prediction.recommend.microscopes import microscopes
from passband.prediction.recommend.network_ranking import NetworkDice, expected_dice
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
    drawn microscopes. The half of the test structures that judges networks is unknown to the models
    that choose them.

    Args:
        number: Number of microscopes inside the ranges. A third of this number is drawn outside.
        specimen: The test specimen, which is needed if the study has several.
        progress, log: See :func:`passband.answers.further_tests.evaluate_extra`.

    Raises:
        PassbandError: If the study has no results, too few conditions or one test structure, or if
            a test fails.
    """
    study = results.study
    tested = TestedNetworks.open(results, specimen, with_extra=False)
    if (structures := tested.matrices[0].structures) < 2:
        raise PassbandError(
            f"{results}: has one test structure; a check needs 2 or more, since one half of them "
            "chooses networks and the other half judges them"
        )
    inside, outside = microscopes(study, number, seed)
    # Nothing is recommended for the others.
    outside = [each for each in outside if each.dose_e_per_A2 >= tested.doses.lowest]
    drawn = [*inside, *outside]
    judged = with_drawn(first_replicas(tested), drawn)
    if not (from_table := judged is not None):
        _tell_tests(tested, drawn, log)
        evaluate_extra(results, drawn, progress=progress, log=log)
        judged = TestedNetworks.open(results, tested.specimen)
        if lacking := _lacking(judged, drawn):
            raise PassbandError(
                f"{results}: some networks have no results under {len(lacking)} of the drawn "
                "microscopes; were networks removed, or trained again since the table of results "
                "was made? Run the study first"
            )
    table, dice, true, expected = learned_from(judged, drawn)
    parts = [judged.of_structures(range(k, structures, 2), f"half-{k + 1}") for k in (0, 1)]
    halves = [learned_from(part, drawn)[1:] for part in parts]
    networks = Networks(
        tuple(id for group in table.groups for id in group.networks),
        tuple(study.trained_under(id) for group in table.groups for id in group.train),
        dice,
        tuple(tested.tested),
        tested.unlearned,
    )
    return check(
        networks,
        [expected.mean, expected.low, expected.high],
        true,
        [
            Half(of_table, learned.mean, known, other)
            for (of_table, known, learned), (_, other, _) in zip(halves, halves[::-1], strict=True)
        ],
        inside,
        outside,
        table.profiles,
        seed,
        from_table,
    )


def learned_from(
    judged: TestedNetworks, drawn: list[Condition]
) -> tuple[TestedNetworks, np.ndarray, np.ndarray, NetworkDice]:
    """Return what the models know, what they do not, and what they expect under microscopes.

    Returns:
        The networks with the table's results alone; their Dice (network, test) in it, and Dice
        (network, microscope); expected Dice, see
        :func:`passband.prediction.recommend.network_ranking.expected_dice`.
    """
    D = np.concatenate([group.dice for group in judged.of_groups])
    every = [condition.id for condition in (*judged.tested, *judged.further)]
    table = replace(judged, extra=None)
    expected = expected_dice(table.groups, None, drawn, table.profiles, table.doses)
    of_drawn = D[:, [every.index(condition.id) for condition in drawn]]
    return table, D[:, : len(judged.tested)], of_drawn, expected


def first_replicas(tested: TestedNetworks) -> TestedNetworks:
    """Return the first replica of each training condition, if the table has its results."""
    places = [k for k, r in enumerate(tested.matrices[0].replicas) if r == records.FIRST]
    return replace(tested, matrices=tuple(m.take(replica=places) for m in tested.matrices))


def with_drawn(first: TestedNetworks, drawn: list[Condition]) -> TestedNetworks | None:
    """Return first replicas with their results under microscopes from the table, or None."""
    ids = list(dict.fromkeys(condition.id for condition in drawn))
    table = first.results.table
    known = set(records.values_along(table, records.MICROSCOPE))
    if not set(ids) <= known or not first.of_groups:
        return None
    here = table.sel({"test_specimen": [first.specimen], records.MICROSCOPE: ids})
    here = here.rename({records.MICROSCOPE: "test_"})
    names = [str(name) for name in here.data_vars if str(name).startswith(DRAWN)]
    extra = here[names].rename({name: name.removeprefix(DRAWN) for name in names})
    extra = extra.reset_coords(drop=True).rename(test_="test").expand_dims(replica=[records.FIRST])
    judged = replace(first, extra=tuple(matrices(extra)))
    return None if _lacking(judged, drawn) else judged


def _lacking(judged: TestedNetworks, drawn: list[Condition]) -> list[Condition]:
    """Return the microscopes under which not all networks have results."""
    known = {condition.id for condition in (*judged.tested, *judged.further)}
    return [condition for condition in drawn if condition.id not in known]


def _tell_tests(
    tested: TestedNetworks, drawn: list[Condition], log: Callable[[str], object]
) -> None:
    """Say that networks are tested, and why if the table of results has drawn microscopes."""
    known = set(records.values_along(tested.results.table, records.MICROSCOPE))
    if known:
        lacking = sum(condition.id not in known for condition in drawn)
        what = f"{lacking} of the {len(drawn)} microscopes" if lacking else "some first replicas"
        log(f"the table of results lacks {what}, so all networks are tested")
    else:
        log(f"testing all networks under {len(drawn)} microscopes, unless earlier calls did")


def main(words: list[str]) -> int:
    """Print the check of a study, and return the exit status."""
    try:
        noun = words[0]
        number = int(words[1])
        seed = int(words[2]) if words[2:] else 0
    except (IndexError, ValueError):
        print("usage: python -m findings.choosing.drawn_check STUDY NUMBER [SEED]", file=sys.stderr)
        return 2
    try:
        print(text(run(Results.find(noun), number, seed, log=print)))
    except PassbandError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
