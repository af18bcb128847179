"""Compare the ONNX file of `general` with torch: the time of a mask, and what is found.

    python benchmarks/masks.py           # three minutes on two cores
    python benchmarks/masks.py --quick   # half a minute, with small images and few fields

Times are of `segment` in a process that has imported everything, measured in turns. Fields are
simulated: test structures of the network's study under its training condition.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
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


def times(
    table: Table, by_torch: Network, by_onnx: PublishedNetwork, sides: list[int], rounds: int
) -> None:
    """Compare the times of images, which are the sample again and again."""
    sample = readers.read(published.SAMPLE)
    (image,) = sample.images
    for side in sides:
        number = -(-side // len(image))
        wide = np.tile(image, (number, number))[:side, :side]
        onnx, slow = side_by_side(
            rounds,
            lambda wide=wide: segment(wide.copy(), sample.pixel_size_A, [by_onnx]),
            lambda wide=wide: segment(wide.copy(), sample.pixel_size_A, [by_torch]),
        )
        table.row(f"ONNX / torch, {side}²", None, onnx / slow)
        table.row(f"    ONNX, {side}² [s]", GOALS.get(side), onnx)


def command(table: Table, rounds: int) -> None:
    """Measure the command for the sample, from the shell."""
    taken = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            words = [sys.executable, "-m", "passband", "predict", "general", "sample"]
            started = time.perf_counter()
            subprocess.run([*words, "--out", folder], check=True, capture_output=True, cwd=folder)
            taken.append(time.perf_counter() - started)
    table.row("passband predict general sample [s]", 1.5, statistics.median(taken))


def main(quick: bool) -> None:
    (by_torch,) = open_networks("general")
    by_onnx = PublishedNetwork.open(Path(published.shipped()["general"]))
    table = Table()
    command(table, 1 if quick else 5)
    times(table, by_torch, by_onnx, [128] if quick else [*GOALS], 1 if quick else 3)
    found(table, by_torch, by_onnx, 2 if quick else 24)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small images and few fields")
    main(parser.parse_args().quick)
