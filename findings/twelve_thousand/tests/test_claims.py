"""The intervals of claims.py, and the table that the account is made from."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from findings.twelve_thousand import claims, results
from passband.axes import MAIN_AXES
from passband.grid import Axes

ROOT = Path(__file__).parents[3]
ACCOUNT = ROOT / "findings" / "twelve_thousand"
DATA = ACCOUNT / "data"


def table() -> pd.DataFrame:
    frame = pd.read_csv(DATA / "claims.csv")
    return frame.set_index(["claim", "networks", "tests"]).sort_index()


def test_intervals_hold_the_mean_over_other_networks_and_other_images():
    """Two conditions, whose images are the same, are compared in many simulated studies."""
    random = np.random.default_rng(0)
    crossed, drawn = [], []
    for _ in range(400):
        images = 0.05 * random.normal(size=(2, 1, 8))
        networks = 0.03 * random.normal(size=(2, 4, 1))
        D = (
            images
            + networks
            + 0.02 * random.normal(size=(2, 4, 8))
            + np.array([0.7, 0.6])[:, None, None]
        )
        value, low, high = claims.crossed([D[0], -D[1]])
        assert value == pytest.approx(D[0].mean() - D[1].mean())
        crossed.append(low <= 0.1 <= high)
        change = -0.1 + 0.05 * random.normal(size=(12, 1)) + 0.03 * random.normal(size=(1, 8))
        _, low, high = claims.drawn(change)
        drawn.append(low <= -0.1 <= high)
    assert 0.93 <= np.mean(crossed) <= 0.99
    assert 0.93 <= np.mean(drawn) <= 0.99


def test_the_table_is_that_of_the_small_studies():
    found = pd.DataFrame(claims.small()).set_index(["claim", "networks", "tests"])
    expected = table().loc[found.index]
    for name in ("value", "low", "high"):
        np.testing.assert_allclose(found[name], expected[name], atol=6e-5)
    assert found.interval_for.equals(expected.interval_for)


def test_values_are_those_of_the_other_tables():
    """Only intervals differ."""
    value = table().value
    matrix = json.loads((DATA / "matrix.json").read_text(encoding="utf-8"))
    of_matrix = {"home": matrix["home"], "other conditions": matrix["abroad"]}
    for tests, ends in of_matrix.items():
        assert value["Dice", "all", tests] == pytest.approx(ends[0], abs=6e-5)
    sources = results.SOURCES
    shares = [value["share of variance", "all", name] for name in sources]
    assert shares == pytest.approx([ends[0] for ends in matrix["shares"].values()], abs=6e-5)
    doses = pd.read_csv(DATA / "doses.csv").set_index(
        ["score", "train_dose_e_per_A2", "test_dose_e_per_A2"]
    )
    asymmetry = value["loss of Dice, high to low minus low to high", "all", "50 and 1600"]
    assert asymmetry == pytest.approx(doses.excess["dice", 1600, 50], abs=6e-5)
    for row in pd.read_csv(DATA / "scherzer.csv").itertuples():
        networks = f"{row.networks}, {row.cs_um:g} µm, {row.dose_e_per_A2} e/Å²"
        found = value["trough − shoulders", networks]
        assert found["144 tests"] == pytest.approx(row.abroad_difference, abs=2e-4)
        assert found["50 e/Å²"] == pytest.approx(row.abroad_50_difference, abs=2e-4)
    for row in pd.read_csv(DATA / "steps.csv").itertuples():
        tests = {"home": "home", "abroad": "144 tests"}[row.score]
        found = value["change against 192 steps", f"{row.steps} steps, all", tests]
        assert found == pytest.approx(row.difference, abs=2e-4)


def test_the_asymmetry_is_between_networks_and_tests_of_one_lens():
    axes = {"defocus_nm": [0, 10], "cs_um": [1.2], "aperture_mrad": [10]}
    train = Axes.main.conditions(axes | {"dose_e_per_A2": [50, 400, 1600]})
    test = Axes.main.conditions(axes | {"defocus_nm": [10], "dose_e_per_A2": [50, 1600]})

    def side(conditions):
        values = {name: np.array([getattr(c, name) for c in conditions]) for name in MAIN_AXES}
        return results.Conditions(tuple(c.id for c in conditions), values)

    images = np.random.default_rng(0).uniform(size=(6, 3, 2, 4))
    scores = results.Scores(side(train), side(test), images, images[:, :, 0])
    place = {(c.defocus_nm, c.dose_e_per_A2): k for k, c in enumerate(train)}
    tested = {c.dose_e_per_A2: k for k, c in enumerate(test)}
    M = scores.mean
    # The other defocus has no test.
    low, high = M[place[10, 50]], M[place[10, 1600]]
    expected = (low[tested[50]] - high[tested[50]]) - (high[tested[1600]] - low[tested[1600]])
    parts = claims.asymmetric(scores, 50, 1600)
    assert len(parts) == 2
    assert sum(part.mean() for part in parts) == pytest.approx(expected)
    assert {part.shape for part in parts} == {(3, 4)}


def test_what_the_account_says_agrees_with_its_intervals():
    """Its sentences on three of four series and on high doses."""
    of = table()
    text = " ".join((ACCOUNT / "README.md").read_text(encoding="utf-8").split())
    line = of.loc["trough − shoulders"].reset_index()
    for networks in ("compact-w4-d2", "compact-w8-d3"):
        series = line[line.networks.str.match(rf"{networks}, \d+ µm")]
        below = series[series.high < 0].groupby("tests").size()
        assert (below["144 tests"], below["50 e/Å²"]) == (3, 4)
        assert below.get("1600 e/Å²", 0) == 0
    assert "holds in three of four series" in text
    longer = of.loc["change against 192 steps"]
    assert longer.high["3072 steps, all", "144 tests"] < 0
    assert longer.high["3072 steps, trained at ≥ 400 e/Å²", "50 e/Å²"] < 0
    rest = longer.loc["3072 steps, trained at < 400 e/Å²", "50 e/Å²"]
    assert rest.low < 0 < rest.high
