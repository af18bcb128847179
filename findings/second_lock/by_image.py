"""What `passband recommend --by image` is worth on simulated images, and what it refuses.

    python -m findings.second_lock.by_image  # writes by_image.csv; 10 minutes on one core

Each microscope is drawn within the ranges of the demo's tests: as these, with astigmatism besides,
or with vibration besides. None of them is among the tests. 16 images of structures that neither the
networks nor the tests know are given to the package as a user would, in a file. All networks of the
study are then tested on 16 other structures, which judge the network that is chosen by image, the
nearest by the true lens, and what the package recommends for the true lens.

Other images are given too: of other materials, with averaged noise, with a bar, and files of two
materials. They should be refused, and two files of one material should not be. It needs the demo's
results, which `make demo` makes.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

import passband
from findings import committed
from passband import PassbandError
from passband.analysis.bootstrap import interval_edges, percentile_interval, resample
from passband.answers import spectrum_recommendation
from passband.answers.tested_networks import TestedNetworks
from passband.config import Study, validate
from passband.config.detector import DetectorNoise
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Split, Structures
from passband.learning.evaluation import confusion
from passband.learning.network_files import open_networks
from passband.micrographs.images.preparation import filter_noise
from passband.prediction.range_of_use import between, ranges
from passband.prediction.recommend import network_ranking
from passband.prediction.recommend.nearest_network import distances_by_range, nearest
from passband.scores import dice
from passband.seeds import generator
from passband.specimens import exit_waves

TABLE = Path(__file__).parent / "by_image.csv"
CPU = torch.device("cpu")
#: Numbers of microscopes of a group, and of images; the first images are given, the others judge.
MICROSCOPES = 14
IMAGES = 16
#: What a group has beside the main axes, between these values.
GROUPS: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "inside": {},
    "astigmatism": {"astigmatism_nm": (2, 10), "astigmatism_deg": (0, 180)},
    "vibration": {"vibration_A": (0.2, 0.8)},
}
#: Other materials, from the nearest lattice spacing to gold's to the farthest.
MATERIALS = "Ag", "Pt", "Pd", "Cu", "Fe", "CdSe", "CeO2"
#: Half-width of the kernel of averaged noise [Å].
KERNEL_A = 1.0
#: The lines that choose a network.
IMAGE = "chosen by image"
RANGE = "nearest in parameters by range"
TRANSFER = "nearest in T(q) and dose"
LENS = "recommended for the true lens"


def microscopes(tests: list[Condition], group: str) -> Iterator[Condition]:
    """Yield the microscopes of a group, between the tests of a study."""
    random = generator("second lock", "by image", group)
    for _ in range(MICROSCOPES):
        ends = {**ranges(tests), **GROUPS[group]}
        yield tests[0].axes.condition(
            {name: between(name, end, random.random()) for name, end in ends.items()}
        )


def structures(study: Study, first: int, number: int) -> Split:
    """Return test structures of a study's only specimen, which may be beyond those of the study."""
    (name, specimen) = next(iter(study.specimens.items()))
    seed = study.study.seed
    microscope = study.microscope
    which = range(first, first + number)
    waves = exit_waves.simulate(name, specimen, microscope, seed, "test", which)
    return Split.from_dataset(waves, Structures(seed, name, "test", microscope), CPU)


class Judged:
    """The networks of a study, which are tested on further structures."""

    def __init__(self, tested: TestedNetworks):
        study = tested.study
        first = study.study.structures.test
        self.tested = tested
        self.acquisition = Acquisition.from_microscope(study.microscope, "zscore", CPU)
        self.given = structures(study, first, IMAGES)
        self.judging = structures(study, first + IMAGES, IMAGES)
        self.networks = tested.fitted[0].networks
        opened = (open_networks(tested.results, id) for id in self.networks)
        self._modules = [found.module for (found,) in opened]

    def counts(self, condition: Condition) -> np.ndarray:
        """Return the images (n, px, px) that a user gives."""
        return torch.cat(list(self.acquisition.counts(self.given, condition))).numpy()

    @torch.inference_mode()
    def dice(self, condition: Condition) -> np.ndarray:
        """Return the mean Dice of each network, (network,)."""
        images = self.acquisition.images(self.judging, condition)
        found = [confusion(module(images), self.judging.masks) for module in self._modules]
        return np.array([dice(each.numpy()).mean() for each in found])

    def by_lens(self, condition: Condition) -> dict[str, int]:
        """Return the network that each line with the true lens chooses, and what it expects."""
        tested = self.tested.covering([condition])
        own = self.tested.of_matrices[0].dice.mean(1)
        train = [Condition.parse(id.condition) for id in self.networks]
        of_train = tested.network_profiles([id.condition for id in self.networks])
        of_test = tested.profiles([condition])
        every = tested.profiles(tested.tested)
        apart = network_ranking.distances(of_train, of_test, every)
        return {
            RANGE: int(nearest(distances_by_range(train, [condition]), own)[0]),
            TRANSFER: int(nearest(apart, own)[0]),
            LENS: int(tested.expected([condition]).mean[:, 0].argmax()),
        }


def rows(judged: Judged, progress: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """Yield what each microscope says."""
    place = {id: k for k, id in enumerate(judged.networks)}
    pixel_A = judged.tested.study.microscope.pixel_size_A
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "images.npy"
        for group in GROUPS:
            for condition in microscopes(judged.tested.tested, group):
                np.save(file, judged.counts(condition))
                row: dict[str, Any] = {"group": group, "microscope": condition.id}
                y = judged.dice(condition)
                row |= {name: y[k] for name, k in judged.by_lens(condition).items()}
                row["best"] = y.max()
                lens = judged.tested.expected([condition])
                inside = (lens.low[:, 0] <= y) & (y <= lens.high[:, 0])
                row["covered by lens"] = inside.mean()
                try:
                    found = spectrum_recommendation.recommend(judged.tested, [file], pixel_A)
                except PassbandError as error:
                    row["refused"] = str(error).partition(": ")[2]
                else:
                    ends = {place[id]: ends for id, ends in found.networks}
                    inside = [ends[k].low <= y[k] <= ends[k].high for k in ends]
                    row[IMAGE] = y[place[found.networks[0][0]]]
                    row["covered by image"] = np.mean(inside)
                    row["error by image"] = np.mean([(ends[k].value - y[k]) ** 2 for k in ends])
                yield row
            progress(group)


def others(judged: Judged, progress: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """Yield what the package says of images that it should refuse, of four microscopes each."""
    study = judged.tested.study
    pixel_A = study.microscope.pixel_size_A
    inside = [*microscopes(judged.tested.tested, "inside")][::4]

    def images(kind: str) -> Iterator[np.ndarray]:
        given = of_material(study, kind) if kind in MATERIALS else judged.given
        for condition in inside:
            counts = torch.cat(list(judged.acquisition.counts(given, condition))).numpy()
            if kind == "averaged noise":
                noise = DetectorNoise(form="hann", width_A=KERNEL_A)
                counts = np.stack([filter_noise(image, pixel_A, noise) for image in counts])
            if kind == "bar":
                counts[:, -10:] = counts.max()
            yield counts

    for kind in ("averaged noise", "bar", *MATERIALS):
        for condition, counts in zip(inside, images(kind), strict=True):
            yield asked(judged, kind, condition, counts)
        progress(kind)


def pairs(judged: Judged, progress: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """Yield what the package says of two files: gold with gold, and gold with another material."""
    inside = [*microscopes(judged.tested.tested, "inside")]
    for condition in inside:
        halves = np.split(judged.counts(condition), 2)
        yield asked(judged, "two files of gold", condition, *halves)
    for kind in MATERIALS:
        other = of_material(judged.tested.study, kind)
        for condition in inside[::4]:
            counts = torch.cat(list(judged.acquisition.counts(other, condition))).numpy()
            yield asked(judged, f"gold and {kind}", condition, judged.counts(condition), counts)
        progress(f"gold and {kind}")


def of_material(study: Study, material: str) -> Split:
    """Return structures of another material, as spheres of the study's sizes."""
    specimen = {"material": material, "shape": "sphere"}
    return structures(validate(study.model_dump() | {"specimens": {material: specimen}}), 0, IMAGES)


def asked(judged: Judged, group: str, condition: Condition, *images: np.ndarray) -> dict[str, Any]:
    """Return whether the package refuses files of images, and with which words."""
    row = {"group": group, "microscope": condition.id}
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{number}.npy" for number in range(len(images))]
        for file, each in zip(files, images, strict=True):
            np.save(file, each)
        try:
            pixel_A = judged.tested.study.microscope.pixel_size_A
            spectrum_recommendation.recommend(judged.tested, files, pixel_A)
        except PassbandError as error:
            row["refused"] = str(error).partition(": ")[2].replace(f"{folder}/", "")
    return row


def summary(table: pd.DataFrame) -> Iterator[str]:
    """Yield what the table says of each group, a line each."""
    for group, of_group in table.groupby("group", sort=False):
        refused = of_group["refused"].notna()
        line = f"{group}: {refused.mean():.0%} of {len(of_group)} refused"
        answered = of_group.loc[~refused]
        if not answered[IMAGE].notna().any():
            yield line
            continue
        for name in (RANGE, TRANSFER, LENS, "best"):
            line += f"; {IMAGE} − {name} {_mean((answered[IMAGE] - answered[name]).to_numpy())}"
        covered = f"{answered['covered by image'].mean():.1%} by image"
        error = np.sqrt(answered["error by image"].mean())
        covered += f", {of_group['covered by lens'].mean():.1%} by the true lens"
        yield f"{line}; intervals cover {covered}; error {error:.3f}"


def _mean(values: np.ndarray) -> str:
    """Return the mean over microscopes with its 95% bootstrap interval."""
    means = resample(len(values), 2000, "by image") @ values / len(values)
    low, high = percentile_interval(means, interval_edges(0.95))
    return f"{values.mean():+.4f} ({low:+.4f} to {high:+.4f})"


def write() -> int:
    """Write the table and print its summary; return the exit status 0."""

    def progress(words: str) -> None:
        print(words, file=sys.stderr, flush=True)

    judged = Judged(passband.open("demo").tested())
    parts = (part(judged, progress) for part in (rows, others, pairs))
    table = pd.DataFrame([row for part in parts for row in part])
    committed.write(table, TABLE)
    print(*summary(table), sep="\n")
    return 0


if __name__ == "__main__":
    torch.set_num_threads(1)
    try:
        sys.exit(write())
    except PassbandError as error:
        sys.exit(str(error))
