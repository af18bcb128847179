"""Writes the tables of expensive.md from what part 3 has written when it was opened.

    python -m findings.second_lock.expensive_page

Run it from the repository's root.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from findings import committed, pages
from findings.second_lock.expensive import LOCK, scored
from findings.second_lock.locked import FOLDER
from findings.twelve_thousand.locked import UNIT, read_arrays
from passband import PassbandError
from passband.reports import markdown

PAGE = FOLDER / "expensive.md"
#: How much of a result may differ, which follows from Dice as it is stored.
ROUNDING = 1e-9


def tables(found: Mapping[str, Any]) -> dict[str, str]:
    """Return the tables by the names of their places."""
    rows = []
    for name, of in found["architectures"].items():
        for line, each in of["lines"].items():
            rho, low, high = each["rho"]
            share = each["interaction"] / of["ceiling"]
            cells = [f"{rho:z.2f} ({low:z.2f} to {high:z.2f})"]
            cells += [f"{each['r2']:z.3f}", f"{each['interaction']:z.3f}", f"{share:z.2f}"]
            rows.append([f"`{name}`", line, *cells])
    head = ["networks", "predicted by", "ρ of rows abroad", "R²", "INT", "INT / ceiling"]
    made = []
    for name, each in found["networks"].items():
        cells = [f"{each['networks']}", f"{each['home']:.3f}", f"{each['abroad']:.3f}"]
        ceiling = found["architectures"][name]["ceiling"]
        made.append([f"`{name}`", *cells, f"{ceiling:z.3f}", f"{each['seconds'] / 60:.0f} min"])
    columns = ["architecture", "networks", "Dice at home", "abroad", "ceiling of INT", "processor"]
    claim = "small networks tell about larger ones"
    return {
        "claim": markdown.table(["claim", "verdict"], [[claim, f"**{found['verdict']}**"]]),
        "lines": markdown.table(head, rows),
        "networks": markdown.table(columns, made),
    }


def read() -> dict[str, Any]:
    """Return the result.

    Raises:
        PassbandError: If the lock is not open.
    """
    if not LOCK.result.exists():
        raise PassbandError(f"{LOCK.result}: is missing; the lock is not open")
    return json.loads(LOCK.result.read_text(encoding="utf-8"))


def recompute() -> Iterator[str]:
    """Yield a line for the result, which follows from its files, and for each table of the page.

    Raises:
        PassbandError: If a number differs.
    """
    again = scored({name: D / UNIT for name, D in read_arrays(LOCK.truth).items()})
    yield committed.document(LOCK.result, again, ROUNDING)
    for name, text in tables(read()).items():
        yield pages.compare(PAGE, name, text)


def main() -> None:
    """Write the tables of the page."""
    try:
        text = pages.filled(PAGE, tables(read()))
    except PassbandError as error:
        sys.exit(str(error))
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
