"""Writes the tables of expensive.md from what part 3 has written when it was opened.

    python -m findings.second_lock.expensive_page

Run it from the repository's root.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from findings.second_lock.expensive import GROUP, LOCK, WIDE, scored
from findings.second_lock.lens_or_image import LENS
from findings.second_lock.locked import FOLDER, LockPage
from passband.reports import markdown

PATH = FOLDER / "expensive.md"


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


def statements(found: Mapping[str, Any]) -> dict[Path, list[str]]:
    """Return what pages say of the result in sentences, by the page."""
    larger = [found["architectures"][name] for name in (WIDE, GROUP)]
    lines = [each["lines"][LENS] for each in larger]
    shares = [
        line["interaction"] / each["ceiling"] for line, each in zip(lines, larger, strict=True)
    ]
    rho = " and ".join(f"{line['rho'][0]:z.2f}" for line in lines)
    of_ceiling = " and ".join(f"{share:z.2f}" for share in shares)
    said = [f"ρ is {rho}", f"INT is {of_ceiling} of its ceiling"]
    return {PATH: said, Path("findings/README.md"): said}


PAGE = LockPage("part 3", PATH, tables, statements, lock=LOCK, scored=scored)


if __name__ == "__main__":
    PAGE.write()
