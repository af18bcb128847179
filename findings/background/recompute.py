"""Disturbs the real patches again, and compares the pages."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from docs.scripts.real import read
from findings.background import alone, shades, trained
from findings.background.disturbances import OF_CHANGES, disturbed
from findings.pages import compare
from passband.learning.network_files import open_networks
from passband.reports import markdown

PAGE = Path("findings/background/README.md")
PREDICT = Path("docs/predict.md")
PATCHES = Path("../shared/data/hrtem")
#: How much Dice may differ on another processor.
WITHIN = 0.01


def recompute(patches: Path = PATCHES) -> Iterator[str]:
    """Yield a line for each thing that was compared, or was not.

    Raises:
        PassbandError: If a number differs.
    """
    yield compare(PAGE, "trained networks", trained.of_table(pd.read_csv(trained.TABLE)))
    choice, report = shades.tables()
    yield compare(PAGE, "limits of the evenness", choice)
    yield compare(PAGE, "shades of other structures", report)
    networks = {Path(name).stem: open_networks(name)[0] for name in (alone.NEW, alone.OLD)}
    chosen = alone.fields(alone.waves(alone.TUNING, alone.FIELDS))
    of = alone.fields(alone.waves(alone.REPORT, alone.FIELDS))
    text = alone.table_of_losses(networks, of, chosen)
    yield compare(PAGE, "simulated fields, networks alone", text, within=WITHIN)
    if (patches / "images").is_dir():
        of = alone.real(read(patches))
        text = alone.table_of_losses(networks, of, of)
        yield compare(PAGE, "patches, networks alone", text, within=WITHIN)
        rows = [*disturbed(read(patches))]
        yield compare(PAGE, "disturbed patches", markdown.table(OF_CHANGES, rows), within=WITHIN)
        harmful, repaired, harmless, flagged = rows[-1][-4:]
        words = f"Of {harmful} changes of all kinds that cost a Dice of 0.1 without the rules, "
        words += f"{repaired} are repaired or flagged, and of {harmless} harmless ones {flagged}"
        yield compare(PREDICT, "all changes", words)
    else:
        yield f"skipped: disturbed patches: needs {patches}, with images and masks"
    yield "skipped: simulated fields: `python -m findings.background.disturbances` takes minutes"
    yield "skipped: preparations: `python -m findings.background.alone --preparation` takes minutes"
