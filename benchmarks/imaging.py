"""Measure the time to make images and exit waves, relative to the unavoidable parts of this time.

    python benchmarks/imaging.py                # one or two minutes on 2 cores
    python benchmarks/imaging.py --quick        # seconds, with small images and few rounds

The two times of a ratio are measured in turns within one process, so that other programs on the
machine affect both times equally. The ratio is that of the fastest rounds. The last column of the
table shows whether the goal is reached. A missed goal is not an error. The table is in
benchmarks/README.md.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from harness import Table, side_by_side

from passband import units
from passband.config import Diameter, Microscope, Particles, Specimen, Substrate
from passband.imaging.imager import Imager
from passband.imaging.noise import expose
from passband.learning import memory
from passband.optics import ctf
from passband.optics.sampling import Sampling
from passband.specimens import exit_waves as simulate
from passband.specimens.masks import instances
from passband.specimens.multislice import Multislice
from passband.storage import datasets

#: The lens of the images: underfocus of 20 nm, and a focal spread of 3 nm.
OPTICS = ctf.Optics(energy=300e3, defocus=200, cs=1.2e4, aperture=18, focal_spread=30)
#: Number of images in the focal series.
MEMBERS = 5
#: Number of threads, except for counts that are drawn on one thread.
THREADS = 2


def transfer(table: Table, px: int, images: int, rounds: int) -> None:
    """Compare the time of intensities with that of Fourier transforms of as many images."""
    sampling = Sampling(px, 0.3)
    side = 2 * sampling.half + 1
    random = torch.Generator().manual_seed(0)
    spectra = torch.randn((images, 1, side, side), dtype=torch.complex64, generator=random) / px
    wave = torch.randn((images, px, px), dtype=torch.complex64, generator=random)
    quasi = Imager(sampling, "quasi-coherent")
    series = Imager(sampling, "focal-series", MEMBERS)
    lenses = [replace(OPTICS, defocus=200 + i, c12=10.0 + i, phi12=0.1 * i) for i in range(images)]
    one, many, own, forward, inverse = side_by_side(
        rounds,
        lambda: quasi.intensity(spectra, OPTICS),
        lambda: series.intensity(spectra, OPTICS),
        lambda: series.intensity(spectra, lenses),
        lambda: torch.fft.fft2(wave),
        lambda: torch.fft.ifft2(wave),
    )
    where = f"at {px}², {images} image{'s' if images > 1 else ''} a batch"
    goal = 1.6 if px <= 128 else 1.3
    table.row(f"quasi-coherent / (FFT + inverse) {where}", goal, one / (forward + inverse))
    budget = (MEMBERS + 0.5) * inverse + forward
    table.row(f"focal series / ({MEMBERS}.5 inverse + FFT) {where}", 1, many / budget)
    table.row(f"focal series, a lens for every image / one for all {where}", None, own / many)


def noise(table: Table, px: int, images: int, rounds: int, electrons: float) -> None:
    """Compare Poisson counts with numpy's and torch's samplers, on one and on two threads."""
    intensity = torch.rand((images, px, px), generator=torch.Generator().manual_seed(0)) + 0.5
    seeds = list(range(images))
    rates = (intensity * electrons).double().numpy()
    random, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)

    def on(threads: int):
        torch.set_num_threads(threads)
        expose(intensity, electrons, seeds)

    ours, numpys, torchs, both = side_by_side(
        rounds,
        lambda: on(1),
        lambda: random.poisson(rates),
        lambda: torch.poisson(intensity * electrons, generator=generator),
        lambda: on(THREADS),
    )
    torch.set_num_threads(THREADS)
    where = f"at {px}², {electrons:g} e a pixel"
    table.row(f"numpy's Poisson / Passband's {where}, 1 thread", 1, numpys / ours, least=True)
    table.row(f"torch's Poisson / Passband's {where}, 1 thread", 1, torchs / ours, least=True)
    table.row(f"Passband's on 1 thread / on {THREADS} {where}", 1.8, ours / both, least=True)


def simulation(table: Table, px: int, rounds: int) -> None:
    """Measure the time for structure, mask, spectrum and writing, relative to multislice."""
    microscope = Microscope(field_px=px, pixel_size_A=0.2)
    sampling = microscope.sampling
    field_nm = sampling.field_A / units.A_PER_NM
    mean = 0.4 * field_nm  # a field of 4 nm with 512 pixels
    specimen = Specimen(
        diameter_nm=Diameter(mean=mean, std=0.05 * mean, min=0.9 * mean, max=1.1 * mean),
        particles=Particles(min=1, max=1),
        substrate=Substrate(thickness_nm=2.0),
    )
    taken = {"structure": [], "mask": [], "spectrum": [], "multislice": []}

    def timed(name: str, call: Callable):
        started = time.perf_counter()
        result = call()
        taken[name].append(time.perf_counter() - started)
        return result

    for index in range(rounds + 1):
        drawn = timed(
            "structure",
            lambda i=index: simulate.structure("gold", specimen, sampling, 0, "test", i),
        )
        timed("mask", lambda d=drawn: instances(d, sampling))
        wave = timed(
            "multislice",
            lambda d=drawn: Multislice(sampling, microscope.energy_eV).wave(d.atoms),
        )
        timed("spectrum", lambda w=wave: simulate.linear_power(sampling.crop(w)))
    # The first round compiles functions.
    seconds = {name: statistics.median(values[1:]) for name, values in taken.items()}
    waves = simulate.simulate(
        "gold", specimen, microscope, 0, "test", range(max(2, rounds // 2)), "cpu"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "waves.zarr.zip"
        (seconds["writing"],) = side_by_side(
            1, lambda: datasets.write(waves, path, datasets.WAVES, {}, {"structure": 1})
        )
    seconds["writing"] /= waves.sizes["structure"]
    multislice = seconds.pop("multislice")
    where = f"at {px}² of 0.2 Å, a particle of {mean:.1f} nm"
    share = sum(seconds.values()) / multislice
    table.row(f"simulate: all other steps / multislice {where}", 0.25, share)
    for name, value in seconds.items():
        table.row(f"simulate: {name} / multislice", None, value / multislice)
    table.row(f"multislice of {len(drawn.atoms)} atoms [s]", None, multislice)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small images and few rounds")
    quick = parser.parse_args().quick
    threads = torch.get_num_threads()
    capability = torch.backends.cpu.get_cpu_capability()
    print(f"torch {torch.__version__}, {threads} threads, {capability}\n")
    table = Table()
    for px, batches in ((64, (8,)),) if quick else ((128, (1, 64)), (512, (1, 8))):
        for images in batches:
            transfer(table, px, images, 3 if quick else 4000 // px // images ** (px > 128) + 20)
    for electrons in (1, 36, 300):
        noise(table, 64 if quick else 512, 8, 3 if quick else 15, electrons)
    simulation(table, 64 if quick else 512, 2 if quick else 6)
    table.row("peak memory of this process [GB]", 2, memory.peak_process_bytes() / 1e9)


if __name__ == "__main__":
    main()
