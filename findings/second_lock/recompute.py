"""Computes the results of the parts again from their files, and compares them with the pages.

Networks are not in git; the files of a part that is opened have their Dice.
"""

from collections.abc import Iterator

from findings.second_lock import (
    bands,
    by_image,
    damaged,
    damaged_page,
    draws,
    expensive_page,
    fringe_page,
    fringes,
    lens_page,
    one_curve,
    particle_page,
)
from findings.second_lock.locked import FOLDER, WHERE, Lock
from findings.twelve_thousand import history
from passband.words import listed

#: The pages of the parts whose predictions are locked, in the protocol's order.
PAGES = [each.PAGE for each in (lens_page, expensive_page, particle_page, damaged_page)]


def recompute() -> Iterator[str]:
    """Yield a line for each thing that was compared, or was not.

    Raises:
        PassbandError: If a number differs, or a file is not the one that was committed.
    """
    for part in (fringes, bands, damaged):
        draws.read_draw(part.DRAW, part.drawn)
        yield f"{part.DRAW}: what the digest of the protocol draws"
    for page in PAGES:
        yield from committed_in_order(page.name, page.lock)
        if page.lock.result.exists():
            yield from page.recompute()
    openings = fringes.OPENING, bands.OPENING
    if lacking := [each.name for each in openings if not each.result.exists()]:
        yield f"skipped: part 2: {listed(lacking)} not opened yet"
    else:
        yield from fringe_page.recompute()
    yield (
        f"skipped: {one_curve.TABLE.name}: 2 minutes, and the merged matrix: "
        "python -m findings.second_lock.one_curve"
    )
    yield (
        f"skipped: {by_image.TABLE.name}: 10 minutes, and the demo's results: "
        "python -m findings.second_lock.by_image"
    )


def committed_in_order(name: str, lock: Lock) -> Iterator[str]:
    """Compare the protocol, the predictions and the result of a part with the history."""
    if not lock.digests.exists():
        yield f"skipped: {name} has no predictions yet"
        return
    lock.read()
    yield f"{lock.digests}: those of the protocol and of the predictions"
    is_open = lock.result.exists()
    yield from history.check(FOLDER, lock.phases if is_open else lock.phases[:2], WHERE)
    if not is_open:
        yield f"skipped: {name} is not opened yet"
