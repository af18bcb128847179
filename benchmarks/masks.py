"""Compare the ONNX file of `general` with torch: the time of a mask, and what is found.

    python benchmarks/masks.py                # six minutes on two cores
    python benchmarks/masks.py --against DIR  # only commands, in turns with those of another clone
    python benchmarks/masks.py --quick        # half a minute, with small images and few fields

Times of commands are from the shell, the least of several. Times beside torch's are of `segment` in
a process that has imported everything, measured in turns. Fields are simulated: test structures of
the network's study under its training condition. Wide images are the sample again and again.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from harness import Table, side_by_side

from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Split, Structures
from passband.learning.network_files import Network, open_networks
from passband.micrographs.images import readers
from passband.micrographs.images.segmentation import segment
from passband.micrographs.models.published_network import PublishedNetwork
from passband.results import published
from passband.specimens import exit_waves

#: The largest time for an image with so many pixels along a side, from a file to its mask [s].
GOALS = {512: 1.5, 2048: 6.0, 4096: 15.0}
#: The largest time for each image of a folder [s], and how many of 512² it has.
EACH, FOLDER = 0.25, 100
HERE = Path(__file__).resolve().parents[1]
#: Runs a command, and prints its time [s] and its memory [kB], in a process that is small itself.
MEASURED = """
import resource, subprocess, sys, time
started = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
seconds = time.perf_counter() - started
print(seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def fields(network: Network, number: int) -> np.ndarray:
    """Return counts of simulated fields, (number, px, px) float32."""
    study = network.study
    name = network.metadata.specimen
    seed = study.study.seed
    cpu = torch.device("cpu")
    microscope = study.microscope
    specimen = study.specimens[name]
    waves = exit_waves.simulate(name, specimen, microscope, seed, "test", range(number), "cpu")
    split = Split.from_dataset(waves, Structures(seed, name, "test", microscope), cpu)
    camera = Acquisition.from_microscope(microscope, network.normalisation, cpu)
    return torch.cat(list(camera.counts(split, network.condition))).numpy()


def found(table: Table, by_torch: Network, by_onnx: PublishedNetwork, number: int) -> None:
    """Compare what both find in fields."""
    largest = 0.0
    pixels = particles = differ = 0
    for field in fields(by_torch, number):
        one, other = (
            segment(field.copy(), by_torch.pixel_size_A, [each]) for each in (by_torch, by_onnx)
        )
        largest = max(largest, float(np.abs(one.probability - other.probability).max()))
        pixels += int((one.mask != other.mask).sum())
        particles += len(one.particles)
        differ += abs(len(one.particles) - len(other.particles))
    table.row(f"largest difference of a probability, {number} fields", 1e-4, largest, digits=7)
    table.row("    pixels whose label differs", None, pixels, digits=0)
    table.row(f"    particles that only one finds, of {particles}", None, differ, digits=0)


def tiled(side: int) -> tuple[readers.Micrograph, np.ndarray]:
    """Return the sample, and an image (side, side) float32 that is the sample again and again."""
    sample = readers.read(published.SAMPLE)
    (image,) = sample.images
    number = -(-side // len(image))
    return sample, np.tile(image, (number, number))[:side, :side]


def times(
    table: Table, by_torch: Network, by_onnx: PublishedNetwork, sides: list[int], rounds: int
) -> None:
    """Compare the times of images, which are the sample again and again."""
    for side in sides:
        sample, wide = tiled(side)
        size = sample.pixel_size_A
        onnx, slow = side_by_side(
            rounds,
            lambda wide=wide, size=size: segment(wide.copy(), size, [by_onnx]),
            lambda wide=wide, size=size: segment(wide.copy(), size, [by_torch]),
        )
        table.row(f"ONNX / torch, {side}²", None, onnx / slow)
        table.row(f"    ONNX, {side}² [s]", GOALS.get(side), onnx)


def command(clone: Path, image: str | Path, pixel_size_A: float) -> tuple[float, float]:
    """Return the time [s] and the memory [GB] of `predict general` with images, from the shell."""
    words = [sys.executable, "-m", "passband", "predict", "general", str(image)]
    if image != "sample":
        words += ["--pixel-size-A", f"{pixel_size_A:g}"]
    environment = os.environ | {"PYTHONPATH": str(clone / "src")}
    with tempfile.TemporaryDirectory() as folder:
        words += ["--out", folder]
        found = subprocess.run(
            [sys.executable, "-c", MEASURED, *words],
            cwd=folder,
            env=environment,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
    seconds, kilobytes = map(float, found.stdout.split())
    return seconds, kilobytes / 1e6


def commands(table: Table, against: Path | None, quick: bool) -> None:
    """Measure commands from the shell: the sample, wide images, and a folder of images."""
    clones = [HERE] if against is None else [HERE, against]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images: dict[str, tuple[str | Path, float, int]] = {"sample": ("sample", 1.5, 5)}
        for side in [128] if quick else [*GOALS]:
            sample, wide = tiled(side)
            np.save(folder / f"{side}.npy", wide)
            images[f"{side}²"] = folder / f"{side}.npy", GOALS.get(side, 1.5), 3
        (folder / "many").mkdir()
        number = 3 if quick else FOLDER
        _, wide = tiled(128 if quick else 512)
        for k in range(number):
            np.save(folder / "many" / f"{k}.npy", np.roll(wide, (7 * k, 11 * k), (0, 1)))
        images[f"{number} images"] = folder / "many", EACH * number, 1
        for what, (image, goal, rounds) in images.items():
            found: dict[Path, list[tuple[float, float]]] = {clone: [] for clone in clones}
            for _ in range(1 if quick else rounds):
                for clone, measured in found.items():
                    measured.append(command(clone, image, sample.pixel_size_A))
            seconds, gigabytes = min(found[HERE])
            table.row(f"passband predict general, {what} [s]", goal, seconds)
            table.row("    memory [GB]", 1.0, gigabytes)
            for clone in clones[1:]:
                before, more = min(found[clone])
                table.row("    time / that of the other clone", None, seconds / before)
                table.row("    memory / that of the other clone", None, gigabytes / more)


def main(against: Path | None, quick: bool) -> None:
    table = Table()
    commands(table, against, quick)
    if against is not None:
        return
    (by_torch,) = open_networks("general")
    by_onnx = PublishedNetwork.open(Path(published.shipped()["general"]))
    times(table, by_torch, by_onnx, [128] if quick else [*GOALS], 1 if quick else 3)
    found(table, by_torch, by_onnx, 2 if quick else 24)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small images and few fields")
    parser.add_argument(
        "--against",
        type=Path,
        metavar="DIR",
        help="only commands, in turns with those of another clone",
    )
    options = parser.parse_args()
    main(options.against and options.against.resolve(), options.quick)
