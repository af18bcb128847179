"""A job of several conditions finishes the others before it fails."""

import pytest

from passband import PassbandError
from passband.jobs.failures import Failures
from passband.learning.deadline import StoppedError
from passband.storage import DamagedError, FullError
from passband.storage.lease import LostError


def test_one_message_names_all_conditions_that_failed():
    failures, done = Failures(4), []
    for condition in "abcd":
        with failures.collected(condition):
            if condition in "bd":
                raise ValueError("out of\nluck")
            done.append(condition)
    assert done == ["a", "c"]
    with pytest.raises(PassbandError) as caught:
        failures.check("networks")
    assert str(caught.value) == (
        "2 of 4 conditions failed, and the networks of the others are kept; b: out of luck; also d"
    )


@pytest.mark.parametrize(
    "error",
    [
        StoppedError("stopped"),
        LostError("lost"),
        FullError(".", OSError(28, "full")),
        DamagedError("shard.zarr.zip", "not a whole store"),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_of_the_whole_job_ends_it(error):
    """The job sets a damaged file aside, which it cannot do after another error."""
    failures = Failures(4)
    with pytest.raises(type(error)), failures.collected("a"):
        raise error
    failures.check("networks")


def test_the_error_of_a_single_condition_ends_the_job():
    with pytest.raises(ValueError, match="out of luck"), Failures(1).collected("a"):
        raise ValueError("out of luck")
