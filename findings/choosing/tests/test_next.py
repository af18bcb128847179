"""Chosen networks beside random ones, with a part of the pilot's networks."""

import numpy as np
import pytest

from findings.choosing import next as script

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def matrix():
    return script.Matrix(script.PILOT, "gold")


def test_chosen_networks_begin_with_random_ones_and_each_is_chosen_once(matrix):
    rows = matrix.chosen(9, 3)
    assert rows[: script.START] == matrix.random(script.START, 3)
    assert len(set(rows)) == 9
    assert matrix.random(4, 0) != matrix.random(4, 1)


def test_a_row_has_the_errors_of_networks_that_the_process_does_not_know(matrix, monkeypatch):
    (row,) = script.compared(matrix, [5 / 135], sets=2)
    _, known, chosen, at_random, far, expected, _ = (cell.strip() for cell in row.split("|"))
    assert known == "5 (4%)"
    errors = [matrix.error(matrix.random(5, seed)) for seed in (0, 1)]
    assert at_random == f"{np.mean(errors):.4f} ± {np.std(errors):.4f}"
    assert 0.03 < float(chosen.split()[0]) < 0.3
    assert 0.03 < float(far) < 0.3
    assert 0 < float(expected) < 0.3
    hidden = np.setdiff1d(np.arange(135), matrix.random(5, 0))
    monkeypatch.setattr(matrix, "dice", matrix.dice.copy())
    matrix.dice[hidden] += 0.5
    assert matrix.error(matrix.random(5, 0)) > 0.4  # what is hidden changes no prediction
