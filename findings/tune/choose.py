"""How long, and how fast, `passband tune` goes on training: chosen on simulated microscopes.

    python -m findings.tune.choose FOLDER     # goes on where it was stopped; FOLDER keeps images

Each microscope differs from that of the training of `general` in one way. The network is tuned on
four of its images, with each number of steps and each rate, and tried on twelve others.
"""

import argparse
import copy
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from passband.answers import tuning
from passband.config import load, validate
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Split, Structures
from passband.learning.network_files import Network, open_networks
from passband.learning.tuning import Example, Schedule, tuned
from passband.micrographs.labelled_images import LabelledImage
from passband.specimens import exit_waves

GENERAL = Path("studies/real-general.yaml")
FOLDER = Path("findings/tune")
TABLE = FOLDER / "steps.csv"
SEED = 3905
#: How each microscope differs: a path of keys, and the value.
MICROSCOPES = {
    "Pt, 200 keV": {"microscope.energy_kev": 200.0, "specimens.gold.material": "Pt"},
    "Pd": {"specimens.gold.material": "Pd"},
    "Au, 80 keV": {"microscope.energy_kev": 80.0},
    "defocus of 60 nm": {"grid.defocus_nm": [60.0]},
    "noise kernel of 2 Å": {"microscope.detector.noise.width_A": 2.0},
    "carbon of 12 nm": {"specimens.gold.substrate.thickness_nm": 12.0},
}
#: Numbers of images that are labelled, and of others.
LABELLED, OTHERS = 4, 12
STEPS = 60, 120, 240
RATES = 3e-4, 1e-3
#: Settings whose mean gains differ by less are as good.
AS_GOOD = 0.005
KEYS = ["microscope", "steps", "rate"]


def images(name: str, folder: Path) -> list[LabelledImage]:
    """Return the images of a microscope, which are kept in a folder."""
    study = microscope(name)
    file = folder / f"{name}.npz"
    if not file.exists():
        counts, masks = simulated(study)
        np.savez_compressed(file, counts=counts, masks=masks)
    with np.load(file) as kept:
        counts, masks = kept["counts"], kept["masks"]
    size = study.microscope.pixel_size_A
    return [
        LabelledImage(Path(f"{name} {k}"), image, mask.astype(np.int64), size)
        for k, (image, mask) in enumerate(zip(counts, masks, strict=True))
    ]


def microscope(name: str):
    """Return the study of a microscope."""
    written = copy.deepcopy(load(GENERAL).written())
    for path, value in MICROSCOPES[name].items():
        *blocks, key = path.split(".")
        block = written
        for each in blocks:
            block = block[each]
        block[key] = value
    return validate(written)


def simulated(study) -> tuple[np.ndarray, np.ndarray]:
    """Return counts and masks of a study's training condition, (n, px, px) float32 and bool."""
    cpu = torch.device("cpu")
    specimen, number = study.specimens["gold"], LABELLED + OTHERS
    waves = exit_waves.simulate(
        "gold", specimen, study.microscope, SEED, "tune", range(number), "cpu"
    )
    split = Split.from_dataset(waves, Structures(SEED, "gold", "tune", study.microscope), cpu)
    (condition,) = study.train_conditions
    counts = Acquisition.from_microscope(study.microscope, "zscore", cpu).counts(split, condition)
    return torch.cat(list(counts)).numpy(), split.masks[:, 0].numpy() > 0.5


def rows(name: str, own: list[LabelledImage], network: Network, done: set[tuple]) -> Iterator[dict]:
    """Yield a row of Dice for each setting that is not done."""
    missing = [
        (steps, rate) for steps in STEPS for rate in RATES if (name, steps, rate) not in done
    ]
    if not missing:
        return
    examples = [tuning.prepare(each, network).example for each in own[:LABELLED]]
    others = own[LABELLED:]
    before = [tuning.dice(each, network) for each in others]
    for steps, rate in missing:
        start = time.process_time()
        after = after_tuning(network, examples, others, Schedule(steps, rate))
        gains = np.subtract(after, before)
        yield {
            "microscope": name,
            "steps": steps,
            "rate": rate,
            "before": np.mean(before),
            "after": np.mean(after),
            "gain": gains.mean(),
            "least": gains.min(),
            "lost": int((gains < -tuning.MOST_LOST).sum()),
            "cpu_s": time.process_time() - start,
        }


def after_tuning(
    network: Network,
    examples: list[Example],
    others: list[LabelledImage],
    schedule: Schedule,
) -> list[float]:
    """Return the Dice of other images after tuning."""
    other = replace(network, module=tuned(network, examples, schedule, (SEED,)))
    return [tuning.dice(each, other) for each in others]


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over microscopes of each setting, of those that have all settings."""
    number = len(STEPS) * len(RATES)
    whole = table.groupby("microscope").filter(lambda own: len(own) == number)
    grouped = whole.groupby(["steps", "rate"])
    return pd.DataFrame(
        {
            "microscopes": grouped.size(),
            "before": grouped.before.mean(),
            "gain": grouped.gain.mean(),
            "least": grouped.least.min(),
            "lost": grouped.lost.sum(),
        }
    ).reset_index()


def chosen(summary: pd.DataFrame) -> tuple[int, float]:
    """Return the steps and the rate of the rule that the page fixes."""
    good = summary[summary.gain >= summary.gain.max() - AS_GOOD]
    good = good.sort_values(["lost", "steps", "rate"])
    return int(good.steps.iloc[0]), float(good.rate.iloc[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="keeps the images")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    (network,) = open_networks("general")
    table = pd.read_csv(TABLE) if TABLE.exists() else pd.DataFrame(columns=KEYS)
    for name in MICROSCOPES:
        done = set(table[KEYS].itertuples(index=False, name=None))
        for row in rows(name, images(name, folder), network, done):
            table = pd.DataFrame([*table.to_dict("records"), row])
            table.to_csv(TABLE, index=False, float_format="%.4g")
            print(row, flush=True)
    print(summary(table).round(4).to_string(index=False), chosen(summary(table)))


if __name__ == "__main__":
    main()
