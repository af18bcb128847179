"""Draws how far a verb is, in a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager

from passband.outcomes import Progress


@contextmanager
def bar() -> Iterator[Progress]:
    """Yield a function that draws a bar on standard error, if that is a terminal."""
    from tqdm import tqdm

    with tqdm(disable=None, leave=False) as drawn:

        def progress(done: float, total: float, what: str) -> None:
            drawn.set_description_str(what, refresh=False)
            drawn.total = total or None
            drawn.update(done - drawn.n)

        yield progress
