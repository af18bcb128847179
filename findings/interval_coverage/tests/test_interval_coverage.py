"""Coverage of intervals, for a drawn table of a small study."""

import numpy as np
import pytest

from findings.interval_coverage import recompute
from findings.interval_coverage.interval_coverage import SEED, drawn, tables
from passband import PassbandError


@pytest.fixture(scope="module")
def printed():
    random = np.random.default_rng(SEED)
    return tables(drawn(random), random)


def cells(table):
    return [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]


@pytest.mark.slow
def test_coverage_is_how_often_intervals_contain_the_truth(printed):
    simulated, real = map(cells, printed)
    names = "1 everywhere", "1", "2", "7"
    assert [row[:2] for row in simulated] == [[s, r] for s in ("8", "48") for r in names]
    everywhere = [float(row[3]) for row in simulated if row[1] == names[0]]
    assert everywhere[1] < everywhere[0] < 0.9  # with more images, networks matter more
    for _, replicas, bootstrap, covered, noisiest, width in simulated:
        assert float(covered) >= float(bootstrap)
        if replicas == names[0]:
            continue
        assert 0.85 < float(covered) < 0.995
        assert float(noisiest) > 0.6
        assert float(width) > 1
        assert replicas == "1" or float(width) < 1.7
    assert len(real) == 6
    assert all(0.85 < float(covered) <= 1 for *_, covered in real)


def test_another_number_on_a_page_is_named(printed, monkeypatch):
    monkeypatch.setattr(recompute, "twelve_thousand", lambda: None)
    monkeypatch.setattr(recompute, "tables", lambda *_: printed)
    with pytest.raises(PassbandError, match=r"simulated studies: the page has .* computed again: "):
        [*recompute.recompute()]
