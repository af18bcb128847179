"""The order of particles by their scores."""

import numpy as np
import pytest

from findings.trust import particle_confidence, recompute
from findings.trust.particle_confidence import draw, rates
from passband import PassbandError


def test_order_of_particles_by_their_scores():
    """Only the mean probability orders all of them; areas order half of the pairs."""
    right, error = [1, 1, 1, 0, 0], [0.1, 0.2, 0.3, np.nan, np.nan]
    scores = [3, 1, 2, 2, 2], [0.9, 0.8, 0.7, 0.6, 0.5], [1, 0.5, 1, 1, 0.5]
    values = np.column_stack([np.arange(5), right, error, *scores])
    auroc, order = rates(values)
    assert auroc == pytest.approx([0.5, 1, 3.5 / 6])
    assert order == pytest.approx([-0.5, -1, 0])
    drawn = draw(values, np.random.default_rng(0))
    assert drawn.shape == values.shape
    assert set(drawn[:, 0]) < set(values[:, 0])


def test_the_pages_are_compared_with_the_particles(monkeypatch):
    """Numbers of the page itself are in order, and another number is named."""
    cells = {
        "area": ["0.849 (0.812 to 0.881)"],
        "mean probability": ["0.858 (0.820 to 0.897)"],
        "found in": ["0.737 (0.700 to 0.778)"],
    }
    values = np.zeros((2338, 6))
    values[:, 4] = np.repeat([0.7, 0.85, 0.95], [120, 222, 1996])
    values[:120, 1] = np.arange(120) < 25
    values[120:342, 1] = np.arange(222) < 168
    values[342:, 1] = np.arange(1996) < 1924
    monkeypatch.setattr(particle_confidence, "of_general", lambda: iter(values))
    monkeypatch.setattr(particle_confidence, "with_both", lambda found: found)
    table = cells, "0.009 (-0.034 to 0.054)"
    monkeypatch.setattr(particle_confidence, "table", lambda _: table)
    lines = [*recompute.recompute()]
    assert [line.startswith("skipped: ") for line in lines] == [False] * 4 + [True] * 2
    cells["found in"] = ["0.9 (0.8 to 1.0)"]
    with pytest.raises(PassbandError, match=r"-2026`: the page has '\| `found_in` \| 0.737"):
        [*recompute.recompute()]
