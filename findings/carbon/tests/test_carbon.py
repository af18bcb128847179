"""The asymmetry of doses, on scores that tests make up."""

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from findings.carbon import carbon, recompute
from findings.twelve_thousand import claims
from passband import PassbandError


def doses(up: float, down: float) -> pd.DataFrame:
    """Return scores that are worse by `up` at a higher dose, and by `down` at a lower one."""
    random, rows = np.random.default_rng(0), []
    for thickness, trained, dose in product((1, 5), (30, 134, 600), (30, 134, 600)):
        for replica, image in product(range(6), range(8)):
            worse = up * (dose > trained) + down * (dose < trained) + random.normal(0, 0.01)
            row = {"carbon_nm": thickness, "test_carbon_nm": thickness}
            row |= {"train_dose": trained, "test_dose": dose, "replica": replica, "image": image}
            rows.append(row | dict.fromkeys(("dice_loss", "wrong", "entropy", "published"), worse))
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("up", "down", "sign"), [(0.3, 0.1, "published"), (0.1, 0.3, "opposite"), (0.2, 0.2, "open")]
)
def test_the_sign_of_an_asymmetry_of_doses(up, down, sign):
    rows = carbon.rows_of(doses(up, down))
    assert len(rows) == 2 * 3 * 4
    for row in rows:
        assert row["low"] < row["high"]
        assert row["low_to_high"] == pytest.approx(up, abs=0.01)
        assert row["high_to_low"] == pytest.approx(down, abs=0.01)
        if sign != "open" or (row["networks"], row["low"]) == ("carbon 1 nm", 30):
            assert row["sign"] == sign


def test_the_scores_of_an_image_by_hand():
    masks = torch.tensor([[[[True, True], [False, False]]]])
    logits = torch.tensor([[[[2.0, -1.0], [-3.0, 0.5]]]])
    found = carbon.scores(logits, masks)
    right = 1 / (1 + np.exp(-np.array([2.0, -1.0, 3.0, -0.5])))
    assert found["dice_loss"] == pytest.approx(1 - 2 / (2 + 1 + 1))
    assert found["wrong"] == pytest.approx(2 / 4)
    assert found["entropy"] == pytest.approx(-np.log(right).mean())
    # The softmax of the two probabilities, and then cross-entropy.
    twice = np.exp(right) / (np.exp(right) + np.exp(1 - right))
    assert found["published"] == pytest.approx(-np.log(twice).mean() - np.log(1 + 1 / np.e))


def test_the_published_networks_have_the_sign_of_their_table(tmp_path):
    table = {"pretrain_dose": [30, 30, 600], "pretrain_validation_30": [0.3, 0.3, 0.5]}
    pd.DataFrame(table | {"pretrain_validation_600": [0.8, 1.0, 0.3]}).to_csv(tmp_path / "a.csv")
    (row,) = carbon.published_rows(tmp_path / "a.csv")
    assert (row["low"], row["high"], row["sign"]) == (30, 600, "published")
    assert (row["low_to_high"], row["high_to_low"]) == pytest.approx((0.6, 0.2))


def test_the_committed_table_and_the_page_are_those_of_the_scores():
    *compared, last = recompute.recompute(Path("nowhere"))
    assert last.endswith("wider intervals: 4 numbers")
    assert sum("skipped: the published" in line for line in compared) == 1


def test_a_changed_score_or_page_is_one_line(tmp_path, monkeypatch):
    path = tmp_path / "doses-carbon.csv"
    path.write_text(carbon.TABLE.read_text().replace("-0.2580", "-0.2570"))
    monkeypatch.setattr(carbon, "TABLE", path)
    with pytest.raises(PassbandError, match=r"1 nm, 30, 600, 1 − Dice: asymmetry = -0.257, compu"):
        [*recompute.recompute()]
    monkeypatch.setattr(carbon, "TABLE", carbon.FOLDER / "doses-carbon.csv")
    page = tmp_path / "README.md"
    page.write_text(recompute.PAGE.read_text().replace("+0.217) on 5 nm", "+0.207) on 5 nm"))
    monkeypatch.setattr(recompute, "PAGE", page)
    with pytest.raises(PassbandError, match=r"wider intervals: the page has 'wrong pixels have"):
        [*recompute.recompute(Path("nowhere"))]


def test_what_the_page_says_agrees_with_the_wider_intervals():
    """Its sentences on the sign of Dice and of wrong pixels."""
    frame = pd.read_csv(claims.TABLE).set_index(["claim", "networks", "tests"]).sort_index()
    of = frame.loc[claims.OF_CARBON]
    assert of.high["carbon 1 nm", "1 − Dice, 30 and 600 e/Å²"] < 0
    thick = of.loc["carbon 5 nm"]
    assert thick.low["1 − Dice, 30 and 600 e/Å²"] < 0 < thick.high["1 − Dice, 30 and 600 e/Å²"]
    assert thick.low["share of wrong pixels, 30 and 600 e/Å²"] > 0
    text = " ".join(recompute.PAGE.read_text(encoding="utf-8").split())
    assert "while the sign of Dice on 5 nm is open" in text


def test_the_table_is_written_with_the_published_rows_that_are_there(tmp_path, monkeypatch):
    before = carbon.TABLE.read_text()
    path = tmp_path / "doses-carbon.csv"
    path.write_text(before)
    monkeypatch.setattr(carbon, "TABLE", path)
    assert carbon.main([]) == 0
    assert path.read_text() == before
