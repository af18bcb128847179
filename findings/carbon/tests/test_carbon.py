"""The asymmetry of doses, on scores that tests make up."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch

from findings.carbon import carbon


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
