"""What `examples/tune.py` gains on five real patches, and with one label in ten wrong.

    python -m findings.tune.patches FOLDER

FOLDER has the folders `images` and `masks`, with pixels of 0.776 Å. Each patch is left out once.
With `--network general`, it prints what another network gains, and leaves the table as it is.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage, stats

from docs.scripts.real import PIXEL_A, read
from examples import tune
from examples.tune import Labelled
from findings import committed
from findings.tune.choose import FOLDER
from passband import PassbandError
from passband.learning.network_files import Network, open_networks

TABLE = FOLDER / "patches.csv"
#: The network of the table.
NETWORK = "general-2026"
SEED = 3906
#: The share of particles whose labels are wrong, and by how much outlines are moved [pixels].
WRONG = 0.1
MOVED_PX = 3


def labelled(folder: Path) -> list[Labelled]:
    """Return the patches whose masks are not empty."""
    return [
        Labelled(p.name, p.image, ndimage.label(p.mask)[0], PIXEL_A)
        for p in read(folder)
        if not p.is_empty
    ]


def with_mistakes(images: Sequence[Labelled], seed: int = SEED) -> list[Labelled]:
    """Return images with wrong labels: of every three, one is missing, one too large, one added.

    An added one is a copy of another particle, at a random place of the same image.
    """
    random = np.random.default_rng(seed)
    every = [(k, n) for k, each in enumerate(images) for n in range(1, each.labels.max() + 1)]
    number = round(WRONG * len(every))
    labels = [each.labels.copy() for each in images]
    for place, which in enumerate(random.choice(len(every), number, replace=False)):
        k, n = every[which]
        own = images[k].labels == n
        if place % 3 == 0:
            labels[k][own] = 0
        elif place % 3 == 1:
            labels[k][ndimage.binary_dilation(own, iterations=MOVED_PX)] = n
        else:
            shift = tuple(random.integers(side) for side in own.shape)
            labels[k][np.roll(own, shift, (0, 1))] = labels[k].max() + 1
    return [replace(each, labels=own) for each, own in zip(images, labels, strict=True)]


def left_out(
    network: Network, images: Sequence[Labelled], given: Sequence[Labelled]
) -> Iterator[dict[str, str | float]]:
    """Yield the Dice of each patch, by its own labels, before and after tuning on others'."""
    examples = [tune.prepared(each, network) for each in given]
    for k, each in enumerate(images):
        module = tune.tuned(network, examples[:k] + examples[k + 1 :], (0, str(k)))
        after = tune.dice(each, replace(network, module=module))
        yield {"patch": each.name, "before": tune.dice(each, network), "after": after}


def gain(own: pd.DataFrame) -> str:
    """Return the mean gain of left-out patches, with its interval by Student's t."""
    gains = own.after - own.before
    half = stats.t.ppf(0.975, len(gains) - 1) * stats.sem(gains)
    middle = gains.mean()
    return (
        f"mean gain in Dice {middle:+.3f} (95% interval {middle - half:+.3f} to "
        f"{middle + half:+.3f}) over {len(own)} images, each left out of tuning once"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--network", default=NETWORK, metavar="FILE", help=f"(default: {NETWORK})")
    options = parser.parse_args()
    (network,) = open_networks(options.network)
    try:
        images = labelled(options.folder)
    except PassbandError as error:
        parser.exit(1, f"{error}\n")
    tables = []
    for name, given in {
        "drawn by a person": images,
        "with mistakes": with_mistakes(images),
    }.items():
        start = time.process_time()
        table = pd.DataFrame(left_out(network, images, given))
        table.insert(0, "labels", name)
        tables.append(table)
        print(table.round(3).to_string(index=False), gain(table), sep="\n")
        print(f"{time.process_time() - start:.0f} s of processor", flush=True)
    if options.network == NETWORK:
        committed.write(pd.concat(tables), TABLE)


if __name__ == "__main__":
    main()
