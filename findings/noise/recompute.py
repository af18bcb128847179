"""Makes the table of treatments of noise again, and compares the pages."""

from collections.abc import Iterator
from pathlib import Path

from docs.scripts.real import read
from findings.noise import own_noise
from findings.pages import compare
from passband.reports import markdown

PAGE = Path("findings/noise/README.md")
NOISE = Path("docs/noise.md")
REAL = Path("docs/real/README.md")
PATCHES = Path("../shared/data/hrtem")
WITHIN = 0.01


def recompute(patches: Path = PATCHES) -> Iterator[str]:
    """Yield a line for each thing that was compared, or was not.

    Raises:
        PassbandError: If a number differs.
    """
    head = "images", *own_noise.TREATMENTS
    rows = [*own_noise.of_simulated()]
    yield compare(PAGE, "simulated images", markdown.table(head, rows), within=WITHIN)
    dice = means(rows)
    white, averaged, left = dice["white, 200 e/Å²"][1:]
    words = f"{white} if they are filtered, {averaged} if they count as averaged, and {left} with"
    yield compare(NOISE, "at 200 e/Å²", words, within=WITHIN)
    white, averaged, _ = dice["white, 50 e/Å²"][1:]
    yield compare(NOISE, "at 50 e/Å²", f"the first two are {white} and {averaged}", within=WITHIN)
    if (patches / "images").is_dir():
        rows = [*own_noise.of_patches(read(patches))]
        yield compare(PAGE, "real patches", markdown.table(head, rows), within=WITHIN)
        drawn, fourier, *_, bilinear = means(rows).values()
        words = f"{drawn[0]} becomes {fourier[0]} with Fourier interpolation and {bilinear[0]} with"
        yield compare(REAL, "enlarged patches", words, within=WITHIN)
        yield compare(REAL, "as white", f"it would be {bilinear[1]} to {fourier[1]}", within=WITHIN)
    else:
        yield f"skipped: real patches: needs {patches}, with images and masks"
    yield "skipped: what each step of realism is worth: needs these patches, and training"


def means(rows: list[list[str]]) -> dict[str, list[str]]:
    """Return the mean Dice of each row and treatment as text, without the numbers of images."""
    return {name: [cell.partition(" ")[0] for cell in cells] for name, *cells in rows}
