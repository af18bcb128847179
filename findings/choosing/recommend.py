"""Measure what `passband recommend` says below the tested doses, and whom it ranks first.

    python -m findings.choosing.recommend low   # intervals below the tested doses; 3 minutes
    python -m findings.choosing.recommend rank  # networks chosen with few training conditions

Run it from the repository's root; `low`, after `python -m findings.twelve_thousand merge`.

`low` leaves the lower doses out of the twelve thousand, of training and of tests, and asks for the
drawn microscopes between the lowest dose that is left and half of it. The networks are first
replicas. `rank` learns from some of the locked networks under the 144 old tests, and judges the
networks that it chooses under 150 new tests on 24 new structures, which no model has seen.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from findings.choosing.drawn_check import first_replicas, with_drawn
from findings.twelve_thousand.locked import DICE, OLD, TRAIN, UNIT, drawn, protocol_digest
from findings.twelve_thousand.packed import tables
from findings.twelve_thousand.parts import WHOLE
from passband.analysis import profiles, spectra
from passband.analysis.bootstrap import interval_edges, percentile_interval, resample
from passband.answers.tested_networks import TestedNetworks
from passband.config import load
from passband.grid import Condition
from passband.prediction import gaussian_process
from passband.prediction.recommend.microscopes import microscopes
from passband.prediction.recommend.nearest_network import distances_by_range, nearest
from passband.prediction.recommend.network_ranking import predicted
from passband.results import Results
from passband.seeds import generator

#: Lowest doses of the tests of the table alone [e/Å²], with the number of training conditions.
TABLE = ((200.0, 1152), (200.0, 200), (200.0, 24))
#: Lowest doses of all tests, of the table and drawn, each with 300 training conditions [e/Å²].
DRAWN = (60.0, 100.0, 140.0, 200.0, 300.0, 400.0, 600.0, 800.0)
#: Numbers of the locked training conditions that are known.
KNOWN = (200, 47, 24)


# ── Below the tested doses ───────────────────────────────────────────────────────────────────────


def low() -> Iterator[list[str]]:
    """Yield the rows of a table: coverage and width with the process alone, and now."""
    yield [
        *("tests", "training conditions", "asked [e/Å²]", "microscopes"),
        *("process alone: covered", "half-width", "now: covered", "half-width", "error", "bias"),
    ]
    study = load(WHOLE)
    table = TestedNetworks.open(Results(study, OLD), with_extra=False)
    inside, outside = microscopes(study, study.evaluation.microscopes, 0)
    every = with_drawn(first_replicas(table), [*inside, *outside])
    settings = [(dose, number, False) for dose, number in TABLE]
    settings += [(dose, 300, True) for dose in DRAWN]
    for dose, number, with_extra in settings:
        yield below(every, dose, number, with_extra)


def below(every: TestedNetworks, dose: float, number: int, with_extra: bool) -> list[str]:
    """Return the row of a study whose training and tests have this dose or more [e/Å²]."""
    axes = every.study.axes
    (matrix,) = every.matrices
    train = [id for id in matrix.rows if _dose(axes.parse(id)) >= dose]
    random = generator("below the tested doses", number)
    train = sorted(random.choice(train, min(number, len(train)), replace=False))
    rows = [matrix.rows.index(id) for id in train]
    tests = [k for k, condition in enumerate(every.tested) if _dose(condition) >= dose]
    more = [c.id for c in every.further if _dose(c) >= dose]
    extra = None
    if with_extra:
        (of_extra,) = every.extra
        columns = [of_extra.columns.index(id) for id in more]
        extra = (of_extra.take(rows, columns),)
    study = replace(
        every,
        matrices=(matrix.take(rows, tests),),
        extra=extra,
        structures=f"from-{dose:g}-{number}",
    )
    doses = study.doses
    asked = [
        condition
        for condition in (*every.tested, *every.further)
        if doses.lowest <= _dose(condition) < doses.low
    ]
    (group,) = study.groups
    ids = [condition.id for condition in (*every.tested, *every.further)]
    (own,) = every.of_groups
    rows = [own.train.index(id) for id in group.train]
    true = own.dice[np.ix_(rows, [ids.index(condition.id) for condition in asked])]
    alone = group.model.interval(None, study.profiles(asked))
    now = predicted(group.model, None, asked, study.profiles, doses)
    cells = [f"{len(tests) + len(more) * with_extra} from {doses.low:g} e/Å²", f"{len(train)}"]
    cells += [f"{doses.lowest:g} to {doses.low:g}", f"{len(asked)}"]
    for _, lower, upper in (alone, now):
        covered = (lower <= true) & (true <= upper)
        cells += [f"{covered.mean():.1%}", f"{(upper - lower).mean() / 2:.3f}"]
    error = now[0] - true
    return [*cells, f"{np.sqrt((error**2).mean()):.3f}", f"{error.mean():z.3f}"]


def _dose(condition: Condition) -> float:
    return condition.dose_e_per_A2


# ── Ranking ──────────────────────────────────────────────────────────────────────────────────────


def rank() -> Iterator[list[str]]:
    """Yield the rows of a table: Dice of the recommended networks minus that of simpler rules."""
    yield [
        "training conditions",
        "Dice",
        "− nearest in parameters by range",
        "− mean of both ranks",
    ]
    study = load(WHOLE)
    part = next(tables())  # all parts have the same tests and the same spectrum
    (curve,) = json.loads(part.attrs[spectra.SPECTRUM]).values()
    spectrum = tuple(np.array(each) for each in curve)
    train, test = drawn(protocol_digest())
    tests = [Condition.parse(str(id)) for id in part.test.values]
    D = {name: each / UNIT for name, each in np.load(DICE).items()}
    known = D["old"][..., : len(tests)].mean(1)
    true = D["new"][..., len(tests) :].mean(1)

    def of(conditions: list[Condition]):
        seed = study.study.seed
        return profiles.profiles(conditions, study.microscope, profiles.SAMPLES, spectrum, seed)

    for number in KNOWN:
        some = np.sort(generator("few locked", number).choice(TRAIN, number, replace=False))
        networks = [train[k] for k in some]
        model = gaussian_process.fit(known[some], of(networks), of(tests))
        expected, _ = model.predict(None, of(test))
        apart = distances_by_range(networks, test)
        ranks = (np.argsort(np.argsort(x, 0), 0) for x in (-expected, apart))
        chosen = {
            "ours": expected.argmax(0),
            "nearest": nearest(apart, known[some].mean(1)),
            "both": sum(ranks).argmin(0),
        }
        found = {name: true[some[rows], range(len(test))] for name, rows in chosen.items()}
        yield [
            f"{number}",
            _words(found["ours"]),
            *(_words(found["ours"] - found[name]) for name in ("nearest", "both")),
        ]


def _words(values: np.ndarray) -> str:
    """Return the mean over tests with its 95% bootstrap interval."""
    means = resample(len(values), 2000, "few locked") @ values / len(values)
    low, high = percentile_interval(means, interval_edges(0.95))
    return f"{values.mean():z.4f} ({low:z.4f} to {high:z.4f})"


if __name__ == "__main__":
    commands = {"low": low, "rank": rank}
    if sys.argv[1:] not in [[name] for name in commands]:
        sys.exit(f"usage: python -m findings.choosing.recommend {{{','.join(commands)}}}")
    for row in commands[sys.argv[1]]():
        print(f"| {' | '.join(row)} |", flush=True)
