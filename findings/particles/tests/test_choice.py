"""What a choice of networks by Dice loses of the F1 score of particles."""

import numpy as np
import pandas as pd
import pytest

from findings.particles import choice
from passband.grid import Axes

IDS = [
    each.id
    for each in Axes.main.conditions(
        {
            "defocus_nm": [0, 20],
            "cs_um": [1.2],
            "aperture_mrad": [12],
            "dose_e_per_A2": [100, 400],
        }
    )
]


def table(dice, f1):
    """Return the table of scores, each (half, train, test)."""
    rows = [
        (train, test, half, dice[half, i, j], f1[half, i, j], -0.1, 0.2)
        for half in (0, 1)
        for i, train in enumerate(IDS)
        for j, test in enumerate(IDS)
    ]
    return pd.DataFrame(rows, columns=["train", "test", "half", *choice.SCORES])


def test_a_twin_of_dice_loses_nothing():
    dice = np.random.default_rng(0).random((1, 4, 4)).repeat(2, 0)
    found = dict(choice.report(table(dice, dice**2)))
    assert found["choices by F1 and by Dice that differ"] == "0 of 8"
    assert found["ρ over the networks under a test condition, mean and lowest"] == "1.00, 1.00"
    assert found["the first less the second"] == "+0.000 (+0.000 to +0.000)"


def test_one_half_chooses_and_the_other_judges():
    dice, f1 = np.zeros((2, 2, 4, 4))
    dice[:, 0] = 1  # the first network is best by Dice
    f1[0, 1] = f1[1, 2] = 0.5  # and another one by F1, which is not best on the other half
    found = dict(choice.report(table(dice, f1)))
    assert found["choices by F1 and by Dice that differ"] == "8 of 8"
    assert found["F1 lost on other structures by a choice by Dice"].startswith("+0.500 (")
    assert found["F1 lost on other structures by a choice by F1"].startswith("+0.500 (")
    assert found["error of the number at home, and under other conditions"] == "-0.10, -0.10"
    f1[:, 1] = 0.5
    found = dict(choice.report(table(dice, f1)))
    assert found["F1 lost on other structures by a choice by F1"].startswith("+0.000 (")
    assert found["the first less the second"] == "+0.500 (+0.500 to +0.500)"


def test_rank_correlations_are_of_pairs_of_different_conditions():
    dice = np.random.default_rng(1).random((1, 4, 4)).repeat(2, 0)
    f1 = dice.copy()
    f1[:, np.arange(4), np.arange(4)] = 1 - f1[:, np.arange(4), np.arange(4)]
    found = dict(choice.report(table(dice, f1)))
    assert found["ρ of F1 with Dice over all pairs of different conditions"] == "1.00"
    assert found["ρ over pairs with the same dose"] == "1.00"


def test_halves_are_every_other_structure():
    class Matrix:
        rows, columns, structures = ("a",), ("b",), 5

        def images(self, score, structures):
            return np.arange(5.0)[list(structures)].reshape(1, 1, 1, -1)

    class Results:
        def matrices(self):
            return (Matrix(),)

    found = choice.halves(Results())
    assert found.dice.tolist() == pytest.approx([2, 2])
    assert found.half.tolist() == [0, 1]
