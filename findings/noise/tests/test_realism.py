"""The studies without one step of realism, and their rows of the table."""

import numpy as np

from findings.noise import realism


def test_every_step_is_a_study_that_differs_from_the_reference_in_this_step(tmp_path):
    reference, *others = realism.rows(list(realism.STEPS), tmp_path)
    assert reference.study.study.replicas == 2
    assert len({row.results for row in (reference, *others)}) == len(realism.STEPS)
    left = {"study": {"name"}}
    for row in others:
        assert row.study.study.structures == reference.study.study.structures
        assert row.study.training.epochs == reference.study.training.epochs
        same = row.study.model_dump(exclude=left) == reference.study.model_dump(exclude=left)
        assert not same, row.name
    # Exit waves are shared if only the imaging differs.
    shared = [row.name for row in others if row.waves == reference.waves]
    assert {"white noise", "no vibration", "no residual aberrations"} <= set(shared)
    own = {"no oversampling", "no thermal motion", "particles apart on one face"}
    assert not own & set(shared)


def test_a_row_has_the_mean_of_its_networks_and_each_of_them():
    full, empty = np.ones((4, 4), bool), np.zeros((4, 4), bool)
    patch = realism.Patch
    patches = [patch("a", full, full), patch("b", full, full), patch("empty", empty, empty)]
    found = [{"a": 0.5, "b": 0.7, "empty": 0.01}, {"a": 0.7, "b": 0.9, "empty": 0.03}]
    cells = list(realism.cells("row", found, patches))
    assert cells == ["row", "0.60", "0.80", "**0.700**", "0.600, 0.800", "2.0%"]
