"""Writes the tables of fringes.md from what part 2 has written when it was opened.

    python -m findings.second_lock.fringe_page

Run it from the repository's root.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from findings import committed
from findings.pages import Page, interval
from findings.second_lock import bands, draws, fringes
from findings.second_lock.band_scores import ARMS, CANDIDATES, DIFFERENCES, REFERENCE
from findings.second_lock.lattices import DOSES, LATTICES
from passband.reports import markdown

PATH = draws.FOLDER / "fringes.md"
#: How much of a result may differ, some of which follows from a fit.
FITTED = 1e-3
#: The names of lattices for people.
NAMES = {"ceria": "CeO₂", "gold-balls": "gold", "copper": "Cu"}


def tables(both: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the tables by the names of their places, from both results."""
    of_lattices, of_bands = both
    found = {
        "lattices": lattices(of_lattices["lattices"]),
        "gaps": gaps(of_bands),
        "differences": differences(of_bands["doses"]),
        "advice": advice(of_bands["advice"]),
        "claims": claims({**of_lattices["claims"], **of_bands["claims"]}),
    }
    if "spectra" in of_lattices:
        found["spectra"] = spectra(of_lattices["spectra"])
    return found


def lattices(of: Mapping[str, Any]) -> str:
    """Return ρ at the place of each fringe, and under tests of each dose at the own."""
    head = ["specimen", "Dice at home"]
    head += [f"ρ at {NAMES[each.name]}'s fringe" for each in LATTICES]
    head += [f"own, {dose:,} e/Å²" for dose in DOSES]
    rows = []
    for name, each in of.items():
        places = [bold(correlation(each[place.name]), place.name == name) for place in LATTICES]
        by_dose = [f"{each[name]['by dose'][f'{dose}']:z.2f}" for dose in DOSES]
        rows.append([NAMES[name], f"{each['home']:.3f}", *places, *by_dose])
    return markdown.table(head, rows)


def correlation(of: Mapping[str, float]) -> str:
    return interval({"value": of["rho"], **of}, digits=2)


def bold(text: str, is_bold: bool) -> str:
    return f"**{text}**" if is_bold else text


def spectra(of: Mapping[str, Mapping[str, float]]) -> str:
    """Return R² and INT of CeO₂'s left-out rows, and the difference of the two spectra."""
    head = ["CeO₂'s rows left out, predicted by", "R²", "INT"]
    rows = [
        [name, f"{each['r2']:z.3f}", f"{each['interaction']:z.3f}"]
        for name, each in of.items()
        if name != "difference"
    ]
    rows.append(["own − gold's", markdown.NONE, interval(of["difference"])])
    return markdown.table(head, rows)


def gaps(of: Mapping[str, Any]) -> str:
    """Return the gap of each arm under the tests of each dose, and Dice at home."""
    head = ["arm", *(f"G under {dose:,} e/Å²" for dose in DOSES), "Dice at home"]
    rows = []
    for arm in ARMS:
        of_doses = [interval(of["doses"][f"{dose}"]["gaps"][arm]) for dose in DOSES]
        rows.append([arm, *of_doses, f"{of['home'][arm]:.3f}"])
    return markdown.table(head, rows)


def differences(of: Mapping[str, Any]) -> str:
    """Return the differences of gaps that the claim is about."""
    head = ["difference of G", *(f"under {dose:,} e/Å²" for dose in DOSES)]
    rows = []
    for pair in DIFFERENCES:
        of_doses = [of[f"{dose}"]["differences"][" - ".join(pair)] for dose in DOSES]
        rows.append([" - ".join(pair), *map(interval, of_doses)])
    return markdown.table(head, rows)


def advice(of: Mapping[str, Any]) -> str:
    """Return Dice under the tests of the advice, and how far it is above the mixture of doses."""
    head = ["networks", "Dice", f"minus *{REFERENCE}*", "p (Holm)"]
    rows = [[REFERENCE, f"{of['dice'][REFERENCE]:.3f}", markdown.NONE, markdown.NONE]]
    for name in CANDIDATES:
        apart = of["differences"][name]
        rows.append([name, f"{of['dice'][name]:.3f}", interval(apart), f"{apart['p_holm']:.2g}"])
    return markdown.table(head, rows)


def claims(of: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the word for each claim, with its numbers."""
    rows = []
    for name, each in of.items():
        numbers = [f"{key} {value:z.2f}" for key, value in each.items() if key != "verdict"]
        rows.append([name, f"**{each['verdict']}**", ", ".join(numbers) or markdown.NONE])
    return markdown.table(["claim", "", "numbers"], rows)


def statements(both: Sequence[Mapping[str, Any]]) -> dict[Path, list[str]]:
    """Return what pages say of both results in sentences, by the page."""
    of_lattices, of_bands = both
    each = of_lattices["lattices"]
    ceria, gold, copper = (correlation(each[name][name]) for name in NAMES)
    nearer = f"{of_lattices['claims']['it is the own fringe']['nearer']:.2f}"
    causes = of_bands["claims"]["the fringe causes it"]
    gap = interval(of_bands["doses"]["50"]["gaps"]["plain"])
    apart = of_bands["advice"]["differences"]
    cut, in_training = (f"{apart[name]['value']:.3f}" for name in CANDIDATES[:2])
    noise = interval(apart[CANDIDATES[2]])
    return {
        PATH: [f"ρ is nearer to 0 by {nearer}"],
        Path("docs/findings.md"): [f"a gap between lenses of {gap} at 50 e/Å²"],
        Path("findings/README.md"): [
            f"above −0.3: {ceria}, {gold} and {copper}",
            f"by less than 0.1: by {nearer}",
            f"than with gold's: by {interval(of_lattices['spectra']['difference'])}",
            f"{causes['closed']:.0%} and {causes['closed by the control']:.0%} are closed",
            f"no difference is above 0: {cut}, {in_training} and +{noise}",
        ],
    }


PAGE = Page("part 2", PATH, tables, statements, within=FITTED)


def recompute() -> Iterator[str]:
    """Yield a line for each result, which follows from its file of Dice, and for each table.

    Raises:
        PassbandError: If a number differs, or a part was not opened.
    """
    again = []
    for part in (fringes, bands):
        again.append(part.scored(part.OPENING.arrays()))
        yield committed.document(part.OPENING.result, again[-1], FITTED)
    yield from PAGE.compared(again)


if __name__ == "__main__":
    PAGE.fill(lambda: [part.OPENING.found() for part in (fringes, bands)])
