"""Dataclasses that become JSON, and come back with the same values or one line."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from passband import PassbandError
from passband.prediction.json_values import Array, JsonValues, Rounded, require


@dataclass(frozen=True)
class Inner(JsonValues):
    side: int

    def __post_init__(self):
        require(self.side > 0, "side is not positive")


@dataclass(frozen=True)
class Outer(JsonValues):
    exact: Array
    rounded: Rounded
    inner: Mapping[str, Inner]
    ends: tuple[float, float]


FLOATS = arrays(float, st.tuples(st.integers(0, 3), st.integers(0, 3)), elements=st.floats())


def there_and_back(value):
    return type(value).from_values(json.loads(json.dumps(value.to_values())))


@settings(deadline=None)
@given(FLOATS, st.floats(allow_nan=False), st.integers(1, 99))
def test_values_are_the_same_after_json(values, end, side):
    given = Outer(values, np.zeros(1), {"a": Inner(side)}, (end, 1.0))
    found = there_and_back(given)
    np.testing.assert_array_equal(found.exact, np.array(values.tolist(), float))
    assert found.exact.dtype == float
    assert (found.inner, found.ends) == (given.inner, given.ends)


@settings(deadline=None)
@given(arrays(float, 5, elements=st.floats(-1e300, 1e300)))
def test_rounded_values_have_six_digits(values):
    found = there_and_back(Outer(np.zeros(1), values, {}, (0.0, 1.0))).rounded
    np.testing.assert_allclose(found, values, rtol=5e-6, atol=5e-324)
    assert found.tolist() == [float(f"{value:.6g}") for value in values]
    # A second time changes nothing.
    again = there_and_back(Outer(np.zeros(1), found, {}, (0.0, 1.0))).rounded
    np.testing.assert_array_equal(again, found)


VALUES = {"exact": [1.5], "rounded": [1], "inner": {"a": {"side": 2}}, "ends": [0, 1]}


def test_further_values_are_ignored():
    assert Outer.from_values(VALUES | {"checksum": "a"}).ends == (0.0, 1.0)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"exact": "abc"}, "exact: Value error"),
        ({"exact": [[1], [1, 2]]}, "exact: Value error"),
        ({"exact": {"a": 1}}, "float"),
        ({"inner": {"a": {}}}, "inner.a.side: Field required"),
        ({"inner": {"a": {"side": 0}}}, "inner.a: Value error, side is not positive"),
        ({"inner": 3}, "inner: Input should be a valid dictionary"),
        ({"ends": [0]}, "ends"),
        ({"ends": [0, "x"]}, "ends.1: Input should be a valid number"),
    ],
)
def test_another_content_is_one_line(changed, words):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 the words are compared below
        Outer.from_values(VALUES | changed)
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_missing_value_is_named():
    with pytest.raises(ValueError, match=r"^rounded: Field required$"):
        Outer.from_values({name: value for name, value in VALUES.items() if name != "rounded"})


def test_the_rule_of_a_class_has_no_place_in_front():
    with pytest.raises(ValueError, match=r"^Value error, side is not positive$"):
        Inner.from_values({"side": -1})


@pytest.mark.parametrize("content", [None, 3, [1], "text"])
def test_what_is_no_object_is_refused(content):
    with pytest.raises(ValueError, match=r"dictionary|instance"):
        Outer.from_values(content)


def test_an_error_of_the_package_becomes_a_value_error():
    @dataclass(frozen=True)
    class Refusing(JsonValues):
        side: int

        def __post_init__(self):
            raise PassbandError("no network")

    with pytest.raises(ValueError, match=r"^no network$"):
        Refusing.from_values({"side": 1})
