"""Numbers of pairs of conditions that several conditions have in common."""

import numpy as np
import pytest
from explored import large_results, large_study

from passband.matrices.of_study import matrices
from passband.reports.explorer import explorer, sides
from passband.reports.explorer.sides import Sides

#: Two lenses with two doses each, and another order of conditions in the tests.
SIDES = Sides(np.array([0, 0, 1, 1]), np.array([0, 1, 2, 0, 1, 2]))
OF_LENSES = np.arange(6.0).reshape(2, 3)


def spread(few):
    """Return the whole matrix, as the page makes it."""
    places = {
        side: {"all": np.zeros(len(lenses), int), "lens": lenses, "condition": range(len(lenses))}
        for side, lenses in (("train", SIDES.train), ("test", SIDES.test))
    }
    rows, columns = (places[side][of] for side, of in zip(places, few.sides, strict=True))
    return few.values[np.ix_(rows, columns)]


@pytest.mark.parametrize(
    ("values", "found", "shape"),
    [
        (np.full((4, 6), 0.3), ("all", "all"), (1, 1)),
        (OF_LENSES[np.ix_(SIDES.train, SIDES.test)], ("lens", "lens"), (2, 3)),
        (np.arange(4.0)[:, None] * np.ones(6), ("condition", "all"), (4, 1)),
        (OF_LENSES[:1][:, SIDES.test] * np.ones((4, 1)), ("all", "lens"), (1, 3)),
        (np.arange(24.0).reshape(4, 6), ("condition", "condition"), (4, 6)),
    ],
)
def test_numbers_are_kept_once_for_all_conditions_that_have_them(values, found, shape):
    few = SIDES.few(values)
    assert (few.sides, few.values.shape) == (found, shape)
    np.testing.assert_array_equal(spread(few), values)


def test_errors_of_rounding_are_no_difference_and_missing_numbers_are_equal():
    values = OF_LENSES[np.ix_(SIDES.train, SIDES.test)] * 100
    values[:, [1, 4]] = np.nan
    rounded = values + 1e-12 * np.arange(24).reshape(4, 6)
    assert SIDES.few(rounded).sides == ("lens", "lens")
    rounded[3, 0] += 1e-5
    assert SIDES.few(rounded).sides == ("condition", "condition")
    np.testing.assert_allclose(spread(SIDES.few(rounded)), rounded, rtol=0, atol=1e-9)


def test_few_numbers_have_16_bits_and_many_have_8(monkeypatch):
    values = np.arange(24.0).reshape(4, 6)
    blocks = explorer.Blocks()
    assert SIDES.few(values).added(blocks)["kind"] == "u2"
    monkeypatch.setattr(sides, "MOST_FINE", 23)
    few = SIDES.few(values)
    assert (few.added(blocks)["kind"], few.bytes) == ("u1", 24)


def test_conditions_that_differ_in_the_dose_alone_have_one_lens():
    metrics, table = large_results(large_study((2, 1, 1, 3), (3, 1, 1, 2)))
    ids = [*metrics.train.values[:-1].tolist(), "all-0123abcd"]
    keep = metrics.drop_vars([n for n in metrics.coords if str(n).startswith("train")])
    (matrix,) = matrices(table.assign_coords(train=ids), keep.assign_coords(train=ids))
    found = Sides.of(matrix)
    assert found.train.tolist() == [0, 0, 0, 1, 1, 2]  # the mixture has a lens of its own
    assert len(set(found.test.tolist())) == 3
    own = {c.id: n for c, n in zip(matrix.test, found.test, strict=True)}
    alike = {(c.defocus_nm, own[c.id]) for c in matrix.test}
    assert len(alike) == 3
