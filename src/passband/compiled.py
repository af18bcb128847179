"""Functions compiled by numba, from a cache that jobs share."""

import contextlib
import fcntl
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numba


@cache
def compiled(function: Callable, signature: str) -> Callable:
    """Return a function compiled for one signature; it lets other threads run meanwhile.

    Machine code is kept where numba keeps it, beside the source or, where that cannot be written
    to, in the user's cache folder (``NUMBA_CACHE_DIR`` overrides both), and is compiled anew when
    the source, numba or the processor is another one. Without any such folder, or on a full disk,
    every process compiles for itself.

    Parameters
    ----------
    function : function
        Of a module, so that it can be found again.
    signature : str
        Types of its arguments, as numba writes them.
    """
    try:
        result = numba.njit(nogil=True, error_model="numpy", cache=True)(function)
        with _alone_in(Path(result.stats.cache_path)):
            result.compile(signature)
    except (RuntimeError, OSError):  # nowhere to keep it
        result = numba.njit(nogil=True, error_model="numpy")(function)
        result.compile(signature)
    result.disable_compile()
    return result


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep other processes that ask for it out of a folder meanwhile.

    numba writes its index before the code that it tells of, and numbers code without a lock: of
    two jobs that start together, one could find an older version's code, or another processor's.
    Where a file system has no locks, that is as likely as numba leaves it.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            file = stack.enter_context((folder / "passband.lock").open("a"))
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
