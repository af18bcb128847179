"""What disturbances cost networks that were trained without them and with all of them.

    passband run studies/background.yaml            # 10 minutes of processor time
    python -m findings.background.trained           # writes trained.csv

Beside the networks is the simplest method, a blur and Otsu's threshold. Its blur and its sign are
those that are best on the first half of the undisturbed test images; all methods are compared on
the other half. A number is the mean over replicas and images. A loss is that against undisturbed
images of the same structures, with its 90% interval (Student's t over images).
"""

import argparse
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy import ndimage
from scipy.special import stdtrit

from docs.scripts.real import otsu
from findings.background.alone import BLURS, COVERAGE
from passband.axes import AXES
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.matrices.matrix import Matrix
from passband.mixtures import is_mixture
from passband.reports import markdown
from passband.results import Results
from passband.scores import dice_of_masks

TABLE = Path(__file__).with_name("trained.csv")
RESULTS = Path("results/background")
WITHOUT = "trained without"
WITH = "trained with"
SIMPLEST = "blur and threshold"
METHODS = WITHOUT, WITH, SIMPLEST
HEAD = "test images", *(cell for name in METHODS for cell in (name, "loses"))


def simplest(results: Results, conditions: list[Condition], first: int) -> tuple[str, np.ndarray]:
    """Return the best blur and threshold, in words, and its Dice, (condition, image).

    It is chosen on the first so many images of the first condition.
    """
    study = results.study
    (specimen,) = study.specimens
    settings = [*product(BLURS, (-1, 1))]
    cpu = torch.device("cpu")
    (split,) = results.structures(specimen, "test").load(cpu).sets.values()
    camera = Acquisition.from_microscope(study.microscope, "zscore", cpu)
    images = [torch.cat([*camera.counts(split, each)]).numpy() for each in conditions]
    masks = split.masks[:, 0].numpy() > 0.5

    def dice(which: int, places: slice, sigma: float, sign: int) -> list[float]:
        pairs = zip(images[which][places], masks[places], strict=True)
        blur = ndimage.gaussian_filter
        return [dice_of_masks(otsu(sign * blur(image, sigma)), mask) for image, mask in pairs]

    chosen = max(settings, key=lambda each: np.mean(dice(0, slice(first), *each)))
    words = f"blur of {chosen[0]} px, {'bright' if chosen[1] > 0 else 'dark'} particles"
    rows = [dice(k, slice(None), *chosen) for k in range(len(conditions))]
    return words, np.array(rows)


def disturbance(condition: Condition) -> str:
    """Return what is done to the images of a condition, in words."""
    return ", ".join(AXES[n].named(f"{x:g}") for n, x in condition.further) or "none"


def table(results: Results, matrix: Matrix) -> tuple[str, pd.DataFrame]:
    """Return the simplest method's words, and the Dice and losses of all methods."""
    home = next(each for each in matrix.test if not each.further)
    conditions = [home, *(each for each in matrix.test if each.further)]
    half = matrix.structures // 2
    words, plain = simplest(results, conditions, half)
    dice = {SIMPLEST: plain}
    for row in matrix.rows:
        name = WITH if is_mixture(row) else WITHOUT
        found = matrix.images(row, [condition.id for condition in conditions])
        dice[name] = np.nanmean(found, axis=0)
    cells = []
    for name, (k, condition) in product(METHODS, enumerate(conditions)):
        values = dice[name][k, half:]
        lost = dice[name][0, half:] - values
        error = stdtrit(len(lost) - 1, (1 + COVERAGE) / 2) * lost.std(ddof=1) / len(lost) ** 0.5
        row = {"disturbance": disturbance(condition), "method": name, "dice": values.mean()}
        cells.append(row | {"lost": lost.mean(), "half_interval": error})
    return words, pd.DataFrame(cells).round(4)


def of_table(frame: pd.DataFrame) -> str:
    """Return the table as Markdown, a row for each disturbance."""
    rows = []
    for name, own in frame.groupby("disturbance", sort=False):
        of = own.set_index("method")
        cells = [name]
        for method in METHODS:
            each = of.loc[method]
            lost = f"{each.lost:+.3f} ± {each.half_interval:.3f}"
            cells += [f"{each.dice:.3f}", markdown.NONE if name == "none" else lost]
        rows.append(cells)
    return markdown.table(HEAD, rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    results = Results(None, parser.parse_args().results)
    (matrix,) = results.matrices()
    words, frame = table(results, matrix)
    frame.to_csv(TABLE, index=False)
    print(f"{SIMPLEST}: {words}\n\n{of_table(frame)}")


if __name__ == "__main__":
    main()
