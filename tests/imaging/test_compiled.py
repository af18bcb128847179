"""Functions that numba compiles: the cache, its lock, and machines without a cache."""

import fcntl
import threading
from pathlib import Path

import numba
import numpy as np
import pytest

from passband.imaging.compiled import compiled


def double(x):
    return 2 * x


#: As of a new process, which has nothing in memory.
anew = compiled.__wrapped__


@pytest.fixture
def folder():
    """The folder with the machine code of the functions in this file."""
    return Path(numba.njit(cache=True)(double).stats.cache_path)


def test_compiled_functions_are_kept():
    anew(double, "(float64,)")
    again = anew(double, "(float64,)")
    assert again.stats.cache_hits
    assert not again.stats.cache_misses
    assert again(4) == 8.0


def test_one_signature_is_compiled_and_no_other():
    result = anew(double, "(uint64,)")
    assert result(np.uint64(3)) == 6
    assert result(3) == 6
    assert len(result.signatures) == 1
    with pytest.raises(TypeError):
        result("two")


@pytest.mark.slow
def test_numbers_are_added_in_another_order_only_on_request():
    """1 is lost beside 1e30 in the order of the source. A sum in another order is exactly 0."""
    functions = {}
    exec("def lost(a, b):\n    return (a + b) - a - b", functions)  # has no file, and no cache
    found = [anew(functions["lost"], "(f8, f8)", reorder)(1e30, 1.0) for reorder in (False, True)]
    assert found == [-1.0, 0.0]


@pytest.mark.slow
def test_other_processes_wait_for_the_one_that_compiles(folder):
    done = threading.Event()

    def job():
        anew(double, "(float32,)")
        done.set()

    with (folder / "passband.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        waiting = threading.Thread(target=job)
        waiting.start()
        assert not done.wait(0.3)
    waiting.join(30)
    assert done.is_set()


@pytest.mark.slow
def test_a_process_that_is_suspended_while_it_compiles_stops_no_other(folder, monkeypatch):
    monkeypatch.setattr("passband.imaging.compiled.PATIENCE_S", 0.3)
    with (folder / "passband.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        result = anew(double, "(complex64,)")
        assert result(4) == 8
        assert not result.stats.cache_path
        # The next function does not wait at all.
        monkeypatch.setattr("passband.imaging.compiled.PATIENCE_S", 3600)
        assert anew(double, "(complex128,)")(4) == 8
    assert anew(double, "(complex128,)").stats.cache_path


def test_without_a_folder_to_keep_it_in(monkeypatch):
    monkeypatch.setattr(numba.core.caching.CacheImpl, "_locator_classes", [])
    result = anew(double, "(float64,)")
    assert result(4) == 8.0
    assert not result.stats.cache_path


def test_on_a_full_disk(monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(numba.core.caching.IndexDataCacheFile, "save", full)
    assert anew(double, "(int16,)")(4) == 8
