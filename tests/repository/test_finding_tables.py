"""The comparison of committed files with what was computed again."""

import json

import numpy as np
import pandas as pd
import pytest

from findings import committed
from passband import PassbandError

KEYS = ("line", "level")


@pytest.fixture
def frame():
    return pd.DataFrame(
        {"line": ["a", "a"], "level": ["20", "all"], "r2": [0.5, np.nan], "holds": ["yes", "no"]}
    )


@pytest.fixture
def path(frame, tmp_path):
    frame.to_csv(tmp_path / "table.csv", index=False)
    return tmp_path / "table.csv"


def test_equal_tables_are_one_line_with_the_number_of_numbers(frame, path):
    assert committed.table(path, frame, KEYS) == f"{path}: 2 numbers within 0.0001"
    apart = frame.assign(r2=frame.r2 + 0.9e-4)
    assert committed.table(path, apart, KEYS)


def test_the_order_of_rows_does_not_matter_and_a_part_is_said(frame, path):
    assert committed.table(path, frame.iloc[::-1], KEYS).endswith(": 2 numbers within 0.0001")
    # Alone, the name of the level is a number.
    one = frame.iloc[:1].assign(level=20.0)
    assert committed.table(path, one, KEYS) == f"{path}: 1 of 2 numbers within 0.0001"


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("r2", 0.5002, "a, 20: r2 = 0.5, computed again: 0.5002"),
        ("r2", np.nan, "a, 20: r2 = 0.5, computed again: nan"),
        ("holds", "no", "a, 20: holds = yes, computed again: no"),
        ("level", "30", "has no a, 30: r2, computed again: 0.5"),
        ("more", 1.0, "has no a, 20: more, computed again: 1.0"),
    ],
)
def test_a_value_that_differs_is_one_line(frame, path, column, value, words):
    frame.loc[0, column] = value
    with pytest.raises(PassbandError) as error:
        committed.table(path, frame, KEYS)
    assert str(error.value) == f"{path}: {words}"


def test_documents_are_compared_leaf_by_leaf(tmp_path):
    path = tmp_path / "found.json"
    there = {"commit": "1234567", "lines": [{"r2": 0.5, "holds": True}, {"r2": float("nan")}]}
    path.write_text(json.dumps(there))
    made = {"lines": [{"r2": 0.5 + 1e-7, "holds": True}, {"r2": float("nan")}]}
    assert committed.document(path, made, 1e-6) == f"{path}: 2 numbers within 1e-06"
    made["lines"][0]["holds"] = False
    with pytest.raises(PassbandError, match=r"lines\.0\.holds = True, computed again: False$"):
        committed.document(path, made, 1e-6)
    made["lines"][0] = {"r2": 0.6}
    with pytest.raises(PassbandError, match=r"found.json: lines\.0\.r2 = 0.5, computed again: 0.6"):
        committed.document(path, made, 1e-6)
