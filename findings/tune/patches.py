"""What `passband tune` gains on five real patches, and with one label in ten wrong.

    python -m findings.tune.patches FOLDER

FOLDER has the folders `images` and `masks`, with pixels of 0.776 Å. Each patch is left out once.
With `--network general`, it prints what another network gains, and leaves the table as it is.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage

from docs.scripts.real import PIXEL_A, read
from findings import committed
from findings.tune.choose import FOLDER
from passband import PassbandError
from passband.answers import tuning
from passband.answers.tuning import LeftOut, Tuned
from passband.learning.network_files import Network, open_networks
from passband.learning.tuning import Schedule, tuned
from passband.micrographs.labelled_images import LabelledImage

TABLE = FOLDER / "patches.csv"
#: The network of the table.
NETWORK = "general-2026"
SEED = 3906
#: The share of particles whose labels are wrong, and by how much outlines are moved [pixels].
WRONG = 0.1
MOVED_PX = 3


def labelled(folder: Path) -> list[LabelledImage]:
    """Return the patches whose masks are not empty."""
    return [
        LabelledImage(Path(f"{p.name}.png"), p.image, ndimage.label(p.mask)[0], PIXEL_A)
        for p in read(folder)
        if not p.is_empty
    ]


def with_mistakes(images: Sequence[LabelledImage], seed: int = SEED) -> list[LabelledImage]:
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
    network: Network, images: Sequence[LabelledImage], given: Sequence[LabelledImage]
) -> Tuned:
    """Return the Dice of each image, by its own labels, after tuning with given labels."""
    prepared = [tuning.prepare(each, network) for each in images]
    examples = [tuning.prepare(each, network).example for each in given]
    found = []
    for k, each in enumerate(prepared):
        others = [example for place, example in enumerate(examples) if place != k]
        module = tuned(network, others, Schedule(), (0, str(k)))
        after = tuning.dice(each.source, replace(network, module=module))
        found.append(LeftOut(each.source.path.stem, each.before, after))
    return Tuned(str(network.id), Path("mine"), len(images), tuple(found))


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
    rows = []
    for name, given in {
        "drawn by a person": images,
        "with mistakes": with_mistakes(images),
    }.items():
        start = time.process_time()
        found = left_out(network, images, given)
        print(
            name, found, f"{time.process_time() - start:.0f} s of processor", sep="\n", flush=True
        )
        rows += [
            {"labels": name, "patch": e.name, "before": e.before, "after": e.after}
            for e in found.left_out
        ]
    if options.network == NETWORK:
        committed.write(pd.DataFrame(rows), TABLE)


if __name__ == "__main__":
    main()
