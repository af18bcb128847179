"""Work that several processes of this machine share."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

from passband.processes import starting_children

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def results(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    number: int,
    *,
    prepare: Callable[..., object],
    given: tuple = (),
) -> Iterator[Result]:
    """Yield what a function returns for each item, in their order, from several processes.

    The processes ignore their folder and Ctrl-C. They end with this process, and at once if the
    generator is closed or an item fails.

    Args:
        number: Number of processes.
        prepare: Prepares a process. It receives the arguments `given`.

    Raises:
        BrokenProcessPool: If a process was killed, such as for lack of memory.
    """
    with starting_children():
        pool = ProcessPoolExecutor(
            number,
            multiprocessing.get_context("spawn"),  # threads of torch do not survive a fork
            initializer=_begin,
            initargs=(prepare, given),
        )
    try:
        with starting_children():
            made = pool.map(function, items)
        yield from made
        pool.shutdown()
    except BaseException:
        started = list((pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for process in started:
            process.terminate()
        raise


def _begin(prepare: Callable[..., object], given: tuple[Any, ...]) -> None:
    """Prepare a process, which ends with the process that has started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the parent, which ends this one
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
    prepare(*given)
