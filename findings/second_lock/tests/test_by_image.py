"""What is measured of `recommend --by image`."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from findings.second_lock import by_image
from passband import PassbandError
from passband.config import load
from passband.prediction.range_of_use import ranges

DEMO = load(by_image.TABLE.parents[2] / "config.yaml")


def test_microscopes_are_no_tests_and_lie_between_them():
    tests = DEMO.test_conditions
    ends = ranges(tests)
    for group, more in by_image.GROUPS.items():
        found = [*by_image.microscopes(tests, group)]
        assert len(found) == by_image.MICROSCOPES
        assert not {c.id for c in found} & {c.id for c in tests}
        assert {name for c in found for name, _ in c.further} == more.keys()
        for name, (low, high) in (ends | more).items():
            assert all(low <= c.value(name) <= high for c in found)


def test_the_summary_is_that_of_the_answered_microscopes():
    row = {"group": "inside", by_image.RANGE: 0.8, by_image.TRANSFER: 0.85, by_image.LENS: 0.9}
    row |= {"best": 0.9, "covered by lens": 0.5, "refused": None}
    answered = row | {by_image.IMAGE: 0.9, "covered by image": 0.75, "error by image": 0.04}
    refused = row | {by_image.IMAGE: np.nan, "refused": "a bar"}
    bar = {"group": "bar", "refused": "a bar", by_image.IMAGE: np.nan}
    first, second = by_image.summary(pd.DataFrame([answered, refused, bar]))
    assert first.startswith("inside: 50% of 2 refused; chosen by image − nearest in parameters by ")
    assert "by range +0.1000 (+0.1000 to +0.1000)" in first
    assert first.endswith("cover 75.0% by image, 50.0% by the true lens; error 0.200")
    assert second == "bar: 100% of 1 refused"


@pytest.mark.parametrize(
    ("counts", "refused"), [([9, 9], None), ([9, 1], "differs from 0.npy by 2 times")]
)
def test_what_is_asked_of_two_files_names_no_folder(counts, refused, monkeypatch):
    def recommend(tested, files, pixel_A):
        first, second = (np.load(file) for file in files)
        if (first != second).any():
            raise PassbandError(f"{files[1]}: differs from {files[0]} by 2 times")

    monkeypatch.setattr(by_image.spectrum_recommendation, "recommend", recommend)
    judged = SimpleNamespace(tested=SimpleNamespace(study=DEMO))
    images = (np.full((2, 4, 4), count) for count in counts)
    condition = DEMO.test_conditions[0]
    row = by_image.asked(judged, "two files", condition, *images)
    assert row == {"group": "two files", "microscope": condition.id} | (
        {"refused": refused} if refused else {}
    )
