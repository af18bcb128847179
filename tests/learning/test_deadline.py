"""When training saves its state."""

import pytest

from passband import PassbandError
from passband.learning import deadline
from passband.learning.deadline import StopCondition
from passband.log_lines import TIME_LIMIT


def test_the_state_is_saved_every_two_minutes_unless_the_environment_says_otherwise(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(deadline.time, "monotonic", lambda: now[0])
    monkeypatch.delenv(deadline.SAVE_EVERY, raising=False)
    for seconds, given in ((120, None), (7, "7")):
        if given:
            monkeypatch.setenv(deadline.SAVE_EVERY, given)
        stop = StopCondition()
        now[0] += seconds - 1
        assert not stop.time_to_save()
        now[0] += 1
        assert stop.time_to_save()
        assert not stop.time_to_save()
        now[0] += seconds
        assert stop.time_to_save()


def test_training_stops_when_its_time_is_over_or_when_it_is_asked(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(deadline.time, "monotonic", lambda: now[0])
    stop = StopCondition(budget=60)
    now[0] += 60
    assert stop.reason_to_stop == ""
    now[0] += 1
    assert stop.reason_to_stop == TIME_LIMIT
    stop.request("SIGTERM")
    assert stop.reason_to_stop == "SIGTERM"
    assert StopCondition().reason_to_stop == ""


def test_an_interval_that_is_none_is_named(monkeypatch):
    monkeypatch.setenv(deadline.SAVE_EVERY, "often")
    with pytest.raises(
        PassbandError, match=r"^PASSBAND_SAVE_EVERY_S = 'often': must be a positive"
    ):
        StopCondition()
