"""Processes that share work: the order of results, and their end."""

import multiprocessing
import os
import time

import pytest

from passband import pools


def made(function, items):
    return pools.results(function, items, 2, prepare=dict, given=([],))


def is_alive(process):
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


def assert_they_end(processes):
    assert processes
    end = time.monotonic() + 30
    while any(map(is_alive, processes)):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_results_are_in_the_order_of_the_items():
    assert list(made(abs, [-3, 2, -1])) == [3, 2, 1]


def test_processes_end_at_once_with_the_work_that_nobody_needs():
    results = made(time.sleep, [0, 600])
    next(results)
    children = multiprocessing.active_children()
    results.close()
    assert_they_end(children)


def test_a_failure_is_that_of_the_item_and_ends_the_processes():
    results = made(int, ["1", "one", "2"])
    assert next(results) == 1
    children = multiprocessing.active_children()
    with pytest.raises(ValueError, match="'one'"):
        next(results)
    assert_they_end(children)
