"""The order of particles by their scores."""

import numpy as np
import pytest

from findings.trust.particle_confidence import draw, rates


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
