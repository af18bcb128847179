"""Makes the table again from the scores of each network and image, and compares the page."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from findings import committed
from findings.carbon import carbon
from findings.pages import compare
from findings.published_tables.published_tables import DOSE, SOURCE
from findings.twelve_thousand import claims

PAGE = carbon.FOLDER / "README.md"
#: The columns that name a row.
KEYS = "networks", "low", "high", "score"


def recompute(source: Path = SOURCE) -> Iterator[str]:
    """Yield a line for each thing that was compared, or was not.

    Args:
        source: The folder of the published tables.

    Raises:
        PassbandError: If a number differs.
    """
    made = pd.DataFrame(carbon.rows_of(pd.read_csv(carbon.STUDIES / f"{carbon.NAME}.csv")))
    yield committed.table(carbon.TABLE, made, KEYS)
    if (file := source / DOSE).exists():
        yield committed.table(carbon.TABLE, pd.DataFrame(carbon.published_rows(file)), KEYS)
    else:
        yield f"skipped: the published networks' asymmetry: needs {file}"
    frame = pd.read_csv(carbon.TABLE)
    yield compare(PAGE, "between 30 and 600 e/Å²", carbon.table(frame))
    published = frame[frame.networks == carbon.PUBLISHED].set_index(["low", "high"])
    value = published.asymmetry[carbon.LOW, carbon.HIGH]
    yield compare(PAGE, "published networks", f"The published networks have {value:+.3f}")
    yield from wider()


def wider() -> Iterator[str]:
    """Compare what the page says of intervals for other networks and other images."""
    yield committed.table(claims.TABLE, pd.DataFrame(claims.of_carbon()), claims.KEYS)
    frame = pd.read_csv(claims.TABLE)

    def words(networks: str, score: str) -> str:
        tests = f"{carbon.SCORES[score]}, {carbon.LOW} and {carbon.HIGH} e/Å²"
        return claims.claim(frame, claims.OF_CARBON, networks, tests, "+.3f")

    for text in (
        f"Dice has {words('carbon 1 nm', 'dice_loss')} on 1 nm",
        f"wrong pixels have {words('carbon 5 nm', 'wrong')} on 5 nm",
        f"the sign of Dice on 5 nm is open: {words('carbon 5 nm', 'dice_loss')}",
    ):
        yield compare(PAGE, "wider intervals", text)
