"""Measure which networks `passband recommend` ranks first with few training conditions.

    python -m findings.choosing.recommend

Run it from the repository's root. The ranking learns from some of the locked networks under the 144
old tests, and the networks that it chooses are judged under 150 new tests on 24 new structures,
which no model has seen.
"""

import json
from collections.abc import Iterator

import numpy as np

from findings.twelve_thousand.locked import DICE, TRAIN, UNIT, drawn, protocol_digest
from findings.twelve_thousand.packed import tables
from findings.twelve_thousand.pieces import WHOLE
from passband.analysis import profiles, spectra
from passband.analysis.bootstrap import interval_edges, percentile_interval, resample
from passband.config import load
from passband.grid import Condition
from passband.prediction import gaussian_process
from passband.prediction.recommend.nearest_network import distances_by_range, nearest
from passband.seeds import generator

#: Numbers of the locked training conditions that are known.
KNOWN = (200, 47, 24)


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
    for row in rank():
        print(f"| {' | '.join(row)} |", flush=True)
