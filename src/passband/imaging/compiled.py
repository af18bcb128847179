"""Functions that numba compiles, with a cache on disk that all jobs share."""

import contextlib
import fcntl
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import IO

import numba

#: How long a process waits for another process that compiles [s]. The other process may be
#: suspended, for example by SLURM, and then holds its lock.
PATIENCE_S = 30.0
# The folders whose lock another process did not release. This process does not wait for them again.
_held: set[Path] = set()


@cache
def compiled(function: Callable, signature: str, reorder: bool = False) -> Callable:
    """Return a function compiled for one signature; other threads can run while it is called.

    numba keeps the machine code in a folder beside the source. If numba cannot write there, it uses
    the user's cache folder. ``NUMBA_CACHE_DIR`` overrides both folders. numba compiles the function
    again when the source, numba or the processor changes. If numba cannot write to any folder, or
    the disk is full, or another process does not end compiling, this process compiles the function
    for itself.

    Args:
        function: A function at the top level of a module, so that the cache can find it.
        signature: Types of the function's arguments, in numba's notation.
        reorder: Whether numbers may be added in another order than in the source, so that sums are
            fast. The order is then the same in every call, and depends on the processor.
    """
    options = {"nogil": True, "error_model": "numpy"}
    if reorder:
        options["fastmath"] = {"reassoc", "contract", "nsz"}
    try:
        result = numba.njit(cache=True, **options)(function)
        with _alone_in(Path(result.stats.cache_path)):
            result.compile(signature)
    except (RuntimeError, OSError):  # there is no cache folder, or it is locked
        result = numba.njit(**options)(function)
        result.compile(signature)
    result.disable_compile()
    return result


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Lock a folder of numba's cache against other processes that call this function.

    numba writes the index of its cache before the machine code that the index refers to, and
    numbers the files of machine code without a lock. So if two jobs start together, one job could
    load machine code of an older version or for another processor. On a file system without locks,
    this can still happen.
    """
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context((folder / "passband.lock").open("a"))
            _lock(file, folder)
        except TimeoutError:
            raise
        except OSError:
            pass
        yield


def _lock(file: IO, folder: Path) -> None:
    """Lock the file of a folder.

    Raises:
        TimeoutError: If another process does not release its lock within :data:`PATIENCE_S`.
    """
    until = time.monotonic() + (0 if folder in _held else PATIENCE_S)
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _held.discard(folder)
            return
        except BlockingIOError:
            if time.monotonic() >= until:
                _held.add(folder)
                raise TimeoutError(f"{folder}: another process holds the lock") from None
            time.sleep(0.02)
