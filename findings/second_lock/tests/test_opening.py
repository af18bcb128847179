"""Part 1 from its predictions to its result, with networks of one step."""

import json

import numpy as np
import pytest

from findings import committed
from findings.second_lock import (
    conditions,
    distances,
    features,
    lens_or_image,
    lens_page,
    networks,
)
from findings.second_lock.locked import Lock, in_units
from findings.twelve_thousand.locked import UNIT, read_arrays
from passband import PassbandError
from passband.config import study_file, validate

ROWS = 6
OLD = 4
EACH = 5


@pytest.fixture
def small():
    """A study of two structures and of one epoch."""
    content = study_file.read(lens_or_image.WHOLE)
    content["microscope"] |= {"detector": {"mtf": "gaussian", "mtf_nyquist": 1}}
    content["study"] |= {"structures": {"train": 2, "val": 2, "test": 2}}
    content["training"] |= {"epochs": 1, "batch_size": 2}
    return validate(content)


@pytest.fixture
def part(small, protocol, commit, monkeypatch):
    """Part 1 with six training conditions, four old tests and five groups of five tests."""
    lock = Lock("part1")
    random = np.random.default_rng(0)
    monkeypatch.setattr(lens_or_image, "study", lambda: small)
    monkeypatch.setattr(distances, "IMAGES", 2)
    monkeypatch.setattr(conditions, "NUMBER", EACH)
    rows = [small.axes.condition(point) for point in conditions.points(random, ROWS)]
    old = [small.axes.condition(point) for point in conditions.points(random, OLD)]
    monkeypatch.setattr(lens_or_image, "training_conditions", lambda: tuple(rows))
    monkeypatch.setattr(lens_or_image, "old_tests", lambda: old)
    monkeypatch.setattr(lens_or_image, "known_dice", lambda: random.random((ROWS, OLD)))
    names = "A", "B", *lens_or_image.AGAINST_LENS, *lens_or_image.AGAINST_IMAGE
    lines = [name for name in names if name not in features.RISES]
    lock.write({name: random.random((ROWS, 5 * EACH)) for name in lines})
    commit()
    return lock


def test_part_1_is_opened_once_and_its_files_give_its_result(part, tmp_path):
    kept = tmp_path / "kept"
    with pytest.raises(PassbandError, match="has no networks of 6 of 6 training conditions"):
        lens_or_image.opened(kept)
    networks.run(lens_or_image.arm(), kept)
    lens_or_image.measure_features(kept, (0, 2))
    with pytest.raises(PassbandError, match="has nothing of 3 of 6 training conditions"):
        lens_or_image.opened(kept)
    lens_or_image.measure_features(kept)
    found = lens_or_image.opened(kept)
    assert found["primary"]["verdict"]
    written = json.loads(part.result.read_text())
    assert written["lines"].keys() == {"A", "B", *lens_or_image.AGAINST_LENS} | {
        *lens_or_image.AGAINST_IMAGE
    }
    truth = read_arrays(part.truth)
    assert truth["dice"].shape == (ROWS, 2, 5 * EACH)
    assert truth["home"].shape == (ROWS, 2)
    y = networks.results(lens_or_image.arm(), kept).dice.mean("structure").values
    np.testing.assert_array_equal(truth["dice"], in_units(y))
    again = truth["dice"].mean(1) / UNIT
    A, B = (part.read()[name] for name in "AB")
    D = (((again - B) ** 2 - (again - A) ** 2) / again.var()).mean()
    assert written["primary"]["value"] == pytest.approx(D, abs=1e-12)
    rows = (kept / "costs.csv").read_text().splitlines()
    assert [row.split(",")[:3] for row in rows[2:]] == [
        ["part1-features", "0/2", "3"],
        ["part1-features", "0/1", "3"],
    ]
    committed.document(part.result, lens_page.scored(part.dice()), 1e-12)
    with pytest.raises(PassbandError, match="was opened before; its result stands"):
        lens_or_image.opened(kept)
