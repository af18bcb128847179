"""Makes the tables again from the packed pieces of the twelve thousand, and compares the pages."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from findings.interval_coverage.interval_coverage import (
    IMAGES,
    REPLICAS,
    SEED,
    tables,
    twelve_thousand,
)
from findings.pages import compare

PAGE = Path("findings/interval_coverage/README.md")
OOD = Path("docs/ood.md")


def recompute() -> Iterator[str]:
    """Yield a line for each thing that was compared.

    Raises:
        PassbandError: If a number differs.
    """
    simulated, real = tables(twelve_thousand(), np.random.default_rng(SEED))
    yield compare(PAGE, "simulated studies", simulated)
    yield compare(PAGE, "real draws", real)
    rows = [line.strip("| ").split(" | ") for line in simulated.splitlines()[2:]]
    of = {(images, replicas): numbers for images, replicas, *numbers in rows}
    percent = {key: f"{100 * float(numbers[1]):.1f}" for key, numbers in of.items()}
    width = {key: numbers[3] for key, numbers in of.items()}
    said = {"95% intervals cover [%]": percent, "width / with known variances": width}
    for name, values in said.items():
        cells = [", ".join(values[f"{images}", each] for images in IMAGES) for each in REPLICAS]
        yield compare(OOD, name, f"| {name} | {' | '.join(cells)} |")
    few, many = (f"{100 * float(of[f'{images}', '1'][2]):.1f}" for images in IMAGES)
    words = f"those of a single replica beside others with two cover {few} and {many}%"
    yield compare(OOD, "in the noisiest tenth", words)
