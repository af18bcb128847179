"""How long, and how fast, `examples/tune.py` trains: chosen on simulated microscopes.

    python -m findings.tune.choose FOLDER     # goes on where it was stopped; FOLDER keeps images

Each microscope differs in one way from that of the training of `general-2026`. This is tuned on
four of its images, with each number of steps and each rate, and tried on eight others: with its new
weights, and with those half of the way from the old ones.
"""

import argparse
import copy
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from examples import tune
from examples.tune import Labelled
from passband.config import load, validate
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Split, Structures
from passband.learning.network_files import Network, open_networks
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
LABELLED = 4
OTHERS = 8
STEPS = 60, 120, 240
RATES = 3e-4, 1e-3
SHARES = 0.5, 1.0
#: Settings whose mean gains differ by less are as good.
AS_GOOD = 0.005
KEYS = ["microscope", "steps", "rate", "share"]
SETTING = KEYS[1:]


def images(name: str, folder: Path) -> list[Labelled]:
    """Return the images of a microscope, which are kept in a folder."""
    study = microscope(name)
    file = folder / f"{name}.npz"
    if not file.exists():
        counts, masks = simulated(study)
        np.savez_compressed(file, counts=counts, masks=masks)
    with np.load(file) as kept:
        counts = kept["counts"][: LABELLED + OTHERS]
        masks = kept["masks"][: LABELLED + OTHERS]
    size = study.microscope.pixel_size_A
    return [
        Labelled(f"{name} {k}", image, mask.astype(np.int64), size)
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
    specimen = study.specimens["gold"]
    number = LABELLED + OTHERS
    waves = exit_waves.simulate(
        "gold", specimen, study.microscope, SEED, "tune", range(number), "cpu"
    )
    split = Split.from_dataset(waves, Structures(SEED, "gold", "tune", study.microscope), cpu)
    (condition,) = study.train_conditions
    counts = Acquisition.from_microscope(study.microscope, "zscore", cpu).counts(split, condition)
    return torch.cat(list(counts)).numpy(), split.masks[:, 0].numpy() > 0.5


def rows(
    name: str, own: list[Labelled], network: Network, steps: int, rate: float
) -> Iterator[dict]:
    """Yield a row of Dice for each share."""
    start = time.process_time()
    examples = [tune.prepared(each, network) for each in own[:LABELLED]]
    others = own[LABELLED:]
    new = tune.tuned(network, examples, (SEED,), steps, rate)
    spent = time.process_time() - start
    before = np.array([tune.dice(each, network) for each in others])
    for share in SHARES:
        module = part_of_way(network.module, new, share)
        after = [tune.dice(each, replace(network, module=module)) for each in others]
        gains = after - before
        yield {
            "microscope": name,
            "steps": steps,
            "rate": rate,
            "share": share,
            "before": before.mean(),
            "gain": gains.mean(),
            "least": gains.min(),
            "lost": int((gains < -tune.MOST_LOST).sum()),
            "cpu_s": spent,
        }


@torch.no_grad()
def part_of_way(old: nn.Module, new: nn.Module, share: float) -> nn.Module:
    """Return a network with weights between those of two (Wortsman et al., *CVPR* 2022)."""
    result = copy.deepcopy(old).eval()
    for own, other in zip(result.parameters(), new.parameters(), strict=True):
        own.lerp_(other, share)
    return result


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over microscopes of each setting, of those that all microscopes have."""
    grouped = table.groupby(SETTING)
    means = pd.DataFrame(
        {
            "microscopes": grouped.size(),
            "gain": grouped.gain.mean(),
            "least": grouped.least.min(),
            "lost": grouped.lost.sum(),
        }
    )
    return means[means.microscopes == len(MICROSCOPES)].drop(columns="microscopes").reset_index()


def chosen(summary: pd.DataFrame) -> dict[str, float]:
    """Return the setting of the rule that the page fixes."""
    good = summary[summary.gain >= summary.gain.max() - AS_GOOD]
    return good.sort_values(["lost", *SETTING]).iloc[0][SETTING].to_dict()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="keeps the images")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    (network,) = open_networks("general-2026")
    table = pd.read_csv(TABLE) if TABLE.exists() else pd.DataFrame(columns=KEYS)
    # All microscopes have a setting before the next is begun, so that a part can be compared.
    for steps, name, rate in product(STEPS, MICROSCOPES, RATES):
        own = table[(table.microscope == name) & (table.steps == steps) & (table.rate == rate)]
        if len(own) < len(SHARES):
            new = [*rows(name, images(name, folder), network, steps, rate)]
            table = pd.DataFrame([*table.to_dict("records"), *new])
            table.to_csv(TABLE, index=False, float_format="%.4g")
            print(pd.DataFrame(new).to_string(index=False, header=False), flush=True)
    print(summary(table).round(4).to_string(index=False), chosen(summary(table)), sep="\n")


if __name__ == "__main__":
    main()
