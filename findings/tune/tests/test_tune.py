"""The rule that chooses the steps of tuning, and wrong labels."""

import numpy as np
import pandas as pd
import pytest
import torch

from examples.tune import Labelled
from findings.tune import choose, patches


def table(*settings):
    """Return a table in which all microscopes have the same gain and number of lost images."""
    return pd.DataFrame(
        [
            {"microscope": name, "steps": steps, "rate": 1e-3, "share": share}
            | {"before": 0.8, "gain": gain, "least": -0.1, "lost": lost}
            for steps, share, gain, lost in settings
            for name in choose.MICROSCOPES
        ]
    )


@pytest.mark.parametrize(
    ("settings", "chosen"),
    [
        ([(60, 1.0, 0.010, 0), (120, 1.0, 0.016, 0)], (120, 1.0)),
        ([(60, 1.0, 0.012, 0), (120, 1.0, 0.016, 0)], (60, 1.0)),  # as good
        ([(60, 1.0, 0.012, 1), (120, 1.0, 0.016, 0)], (120, 1.0)),
        ([(60, 1.0, 0.012, 0), (60, 0.5, 0.012, 0)], (60, 0.5)),
    ],
)
def test_the_rule(settings, chosen):
    steps, share = chosen
    found = choose.chosen(choose.summary(table(*settings)))
    assert found == {"steps": steps, "rate": 1e-3, "share": share}


def test_a_setting_that_a_microscope_lacks_is_left_out():
    found = choose.summary(table((60, 1.0, 0.01, 0), (120, 1.0, 0.02, 0)).iloc[:-1])
    assert list(found.steps) == [60]


@pytest.mark.parametrize("name", choose.MICROSCOPES)
def test_microscopes_differ_from_that_of_the_training(name):
    study = choose.microscope(name)
    general = choose.load(choose.GENERAL)
    assert study.digest != general.digest
    assert study.microscope.pixel_size_A == general.microscope.pixel_size_A


def test_one_label_in_ten_is_wrong():
    labels = np.zeros((100, 100), int)
    for k in range(10):
        for row in range(3):
            labels[30 * row + 5 : 30 * row + 10, 10 * k + 3 : 10 * k + 7] = 10 * row + k + 1
    image = Labelled("a", np.zeros((100, 100), np.float32), labels, 0.5)
    (wrong,) = patches.with_mistakes([image])
    assert wrong.labels.max() == 31  # one is added
    sizes, before = (
        np.bincount(each.ravel(), minlength=32)[1:31] for each in (wrong.labels, labels)
    )
    assert np.count_nonzero(sizes == 0) == 1
    assert np.count_nonzero(sizes > before) == 1
    assert patches.with_mistakes([image])[0].labels.tolist() == wrong.labels.tolist()


def test_weights_go_a_part_of_the_way():
    old, new = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    half = choose.part_of_way(old, new, 0.5)
    assert torch.allclose(half.weight, (old.weight + new.weight) / 2)
    assert torch.equal(choose.part_of_way(old, new, 1.0).weight, new.weight)
