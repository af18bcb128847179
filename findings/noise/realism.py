"""Take away one step of realism at a time, and measure on real images what each step is worth.

    python -m findings.noise.realism FOLDER  # FOLDER has the folders images and masks
    python -m findings.noise.realism FOLDER --only reference "white noise"

Each row is `studies/real-general.yaml` with fewer structures and epochs, and without one step.
Snakemake trains two networks for a row, with different initial weights and noise. Rows share exit
waves if only the imaging differs. The table is printed, and written to README.md beside this file.
"""

import argparse
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from docs.scripts.real import Patch, mean, measure, read
from passband import PassbandError, config
from passband.config import Study
from passband.learning.network_files import finished_networks, open_networks
from passband.reports import markdown
from passband.results import Results, layout

GENERAL = Path("studies/real-general.yaml")
#: What every row changes in `studies/real-general.yaml`: the budget.
BUDGET = {
    "study.structures": {"train": 96, "val": 16, "test": 16},
    "study.structures_per_shard": 48,
    "study.replicas": 2,
    "study.replicas_per_job": 2,
    "training.epochs": 30,
}
#: The name of a row, and what it changes beside the budget.
STEPS = {
    "reference": {},
    "white noise": {"microscope.detector.noise": {"form": "white"}},
    # Without oversampling, pixels of 0.5 Å can show 13.1 mrad at most.
    "no oversampling": {"microscope.oversampling": 1, "grid.aperture_mrad": [13]},
    "no vibration": {"microscope.vibration_A": 0.0},
    "no residual aberrations": {
        "microscope.spread.astigmatism_nm": 0.0,
        "microscope.spread.coma_nm": 0.0,
        "microscope.spread.threefold_nm": 0.0,
    },
    "one focus and one dose": {"microscope.spread.focus_nm": 0.0, "microscope.spread.dose": 0.0},
    "no thermal motion": {"specimens.gold.thermal.temperature_K": 0.0},
    "particles apart on one face": {
        "specimens.gold.gap_nm": 0.5,
        "specimens.gold.substrate.faces": "top",
    },
    "no twins, smooth surfaces": {
        "specimens.gold.twins": {"min": 0, "max": 0},
        "specimens.gold.roughness": 0.0,
    },
}
PAGE = Path(__file__).with_name("README.md")
MARKS = "<!-- steps begin -->", "<!-- steps end -->"


@dataclass(frozen=True)
class Row:
    """A row of the table: a study without one step."""

    name: str
    file: Path
    study: Study

    @property
    def results(self) -> Path:
        return Path("results", self.study.study.name)

    @property
    def waves(self) -> str:
        """What the exit waves depend on, as text."""
        specimens = {name: s.params() for name, s in self.study.specimens.items()}
        return json.dumps([self.study.microscope.exit_wave_params(), specimens], default=str)


def changed(block: dict, changes: dict) -> dict:
    """Return a copy of nested mappings with other values, which are named by dotted paths."""
    block = json.loads(json.dumps(block))
    for path, value in changes.items():
        *above, key = path.split(".")
        inner = block
        for name in above:
            inner = inner[name]
        inner[key] = value
    return block


def rows(names: list[str], folder: Path) -> list[Row]:
    """Write the study file of each row, and return the rows."""
    general = yaml.safe_load(GENERAL.read_text(encoding="utf-8"))
    general.pop("test_grid")  # no network is tested on simulated images
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for name in names:
        slug = name.replace(",", "").replace(" ", "-")
        changes = BUDGET | STEPS[name] | {"study.name": f"realism-{slug}"}
        file = folder / f"{slug}.yaml"
        file.write_text(yaml.safe_dump(changed(general, changes), sort_keys=False))
        found.append(Row(name, file, config.load(file)))
    return found


def train(row: Row, others: list[Row], cores: int) -> None:
    """Train the networks of a row, with the exit waves of an earlier row if they are the same."""
    (condition,) = row.study.train_conditions
    stored = Path(layout.STORE, "waves")
    for other in others:
        same = other.waves == row.waves and (other.results / stored).exists()
        if same and not (row.results / stored).exists():
            shutil.copytree(other.results / stored, row.results / stored, copy_function=os.link)
    weights = row.results / layout.WEIGHTS.format(
        specimen="gold",
        architecture=row.study.training.architectures[0],
        condition=condition.id,
        batch="r000-001",
    )
    command = ["snakemake", str(weights), "--quiet", "all", "--cores", str(cores)]
    if subprocess.run([*command, "--configfile", str(row.file)], check=False).returncode:
        raise PassbandError(f"{row.file}: the networks were not trained; see Snakemake's messages")


def scores(row: Row, patches: list[Patch]) -> list[dict[str, float]]:
    """Return the scores of each network of a row, by patch."""
    results = Results(row.study, row.results)
    (id,) = finished_networks(results)
    return [measure([network], patches) for network in open_networks(results, id)]


def cells(name: str, found: list[dict[str, float]], patches: list[Patch]) -> Iterator[str]:
    """Yield the cells of a row: means over its networks, and each network's mean Dice."""
    yield name
    for patch in patches:
        if not patch.is_empty:
            yield f"{np.mean([each[patch.name] for each in found]):.2f}"
    own = [mean(each, patches) for each in found]
    yield f"**{np.mean(own):.3f}**"
    yield ", ".join(f"{value:.3f}" for value in own)
    for patch in patches:
        if patch.is_empty:
            yield f"{100 * np.mean([each[patch.name] for each in found]):.1f}%"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with the folders images and masks")
    parser.add_argument("--only", nargs="+", choices=STEPS, metavar="ROW", default=list(STEPS))
    parser.add_argument("--cores", type=int, default=1)
    options = parser.parse_args()
    table = []
    try:
        patches = read(options.data)
        found = rows(options.only, Path("results/realism"))
        for k, row in enumerate(found):
            train(row, found[:k], options.cores)
            table.append(list(cells(row.name, scores(row, patches), patches)))
            print(" | ".join(table[-1]), flush=True)
    except PassbandError as error:
        parser.exit(1, f"{error}\n")
    head = ["training images", *(p.name for p in patches if not p.is_empty), "mean", "each network"]
    head += [f"wrong in {p.name}" for p in patches if p.is_empty]
    text = markdown.table(head, table)
    print(f"\n{text}")
    if options.only == list(STEPS) and all(mark in (old := PAGE.read_text()) for mark in MARKS):
        begin, end = (old.index(mark) for mark in MARKS)
        PAGE.write_text(f"{old[:begin]}{MARKS[0]}\n\n{text.strip()}\n\n{old[end:]}")


if __name__ == "__main__":
    main()
