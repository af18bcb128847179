"""Measure the error of exit waves for several pixel sizes of multislice and slice thicknesses.

The reference wave is computed with the same slices and with pixels of 0.04 Å. Waves of abTEM on
several pixels are compared with the reference wave too. The error of a wave ψ is rms|Δψ| / rms|ψ −
mean ψ| over spatial frequencies from 0 to an aperture. The table shows, for each material, the
largest error of its structures, and the mean time of a wave. Then it shows the error of the
structure that needs the smallest pixels, at several energies and up to the image's cutoff.

    python docs/scripts/convergence.py --figure docs/images/convergence.png
"""

import argparse
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from passband import seeds
from passband.config import Diameter, Microscope, Orientation, Particles, Specimen
from passband.figures import style
from passband.optics import ctf
from passband.optics.sampling import Sampling
from passband.reports import markdown
from passband.specimens import multislice
from passband.specimens import structures as specimen
from passband.specimens.abtem_engine import AbtemMultislice
from passband.specimens.exit_waves import engine
from passband.specimens.multislice import Multislice

MATERIALS = ("Au", "Pt", "CeO2")
COLOURS = (style.OWN, style.OTHER, style.TRANSFER)
PIXELS_A = (0.3, 0.2, 0.15, 0.12, 0.09, 0.075, 0.06)
SLICES_A = (4.0, 2.0, 1.0, 0.5, 0.25)
REFERENCE_A, REFERENCE_SLICE_A = 0.04, 0.125
ENERGY_EV = 300e3
APERTURES_MRAD = (10, 18)
GOAL = 0.02
ENGINES = ("passband", "abtem")
#: Pixels of abTEM besides those of `auto` [Å].
ABTEM_A = (0.05, 0.09, 0.3)
#: Energies at which a column of atoms along the beam is measured, and its reference [Å].
COLUMN_KEV = (60, 80, 200, 300, 1000)
COLUMN_REFERENCE_A = 0.025


def structures(material: str, grid: Sampling, number: int, diameter: Diameter) -> list:
    """Return the atoms of random structures: particles of a material on 1 nm of carbon."""
    # Materials that are compounds have no surface energies.
    shape = "sphere" if material == "CeO2" else "wulff"
    drawn = Specimen(material=material, diameter_nm=diameter, shape=shape)
    return [
        specimen.draw(drawn, grid, seeds.generator("convergence", k)).atoms for k in range(number)
    ]


def error(found: np.ndarray, reference: np.ndarray, grid: Sampling, alpha_mrad: float) -> float:
    """Return the error of a wave's spectrum up to an aperture, relative to the scattered wave."""
    q, _ = grid.frequencies()
    within = (q > 0) & (q <= alpha_mrad * 1e-3 / ctf.wavelength(ENERGY_EV))
    return float(np.linalg.norm((found - reference)[within]) / np.linalg.norm(reference[within]))


def image(spectrum: np.ndarray, grid: Sampling, alpha_mrad: float) -> np.ndarray:
    """Return the image at 10 nm underfocus through an aperture. Vacuum has the intensity 1."""
    q, _ = grid.frequencies()
    wavelength = ctf.wavelength(ENERGY_EV)
    lens = np.exp(1j * np.pi * wavelength * 100 * q**2) * (q <= alpha_mrad * 1e-3 / wavelength)
    return np.abs(grid.restore(spectrum * lens)) ** 2


def with_slices(grid: Sampling, thickness_A: float, atoms) -> np.ndarray:
    """Return the exit wave for a given slice thickness."""
    before, multislice.SLICE_A = multislice.SLICE_A, thickness_A
    try:
        return Multislice(grid, ENERGY_EV).wave(atoms)
    finally:
        multislice.SLICE_A = before


class Timed:
    """An engine that computes waves, and the processor time that they took.

    The first wave is computed twice, since engines keep what they computed for an element.
    """

    def __init__(self, engine: Multislice | AbtemMultislice):
        self.engine = engine
        self.seconds: list[float] = []

    def wave(self, atoms) -> np.ndarray:
        """Return a wave."""
        if not self.seconds:
            self.engine.wave(atoms)
        began = time.process_time()
        wave = self.engine.wave(atoms)
        self.seconds.append(time.process_time() - began)
        return wave


def timed(grid: Sampling) -> dict[str, Timed]:
    """Return both engines at `auto`, and abTEM on other pixels, by name."""
    found = {}
    for name in ENGINES:
        auto = engine(Microscope(field_px=grid.px, pixel_size_A=grid.pixel_A, engine=name), "cpu")
        found[f"{name} at auto, {auto.sampling.pixel_A:.2f} Å"] = Timed(auto)
    for pixel in ABTEM_A:
        coarser = AbtemMultislice(grid.finer(pixel), ENERGY_EV)
        found[f"abtem, {pixel:g} Å"] = Timed(coarser)
    return found


def column_rows(quick: bool) -> list[tuple[str, str, float]]:
    """Return rows of the table for a platinum particle at rest, with ⟨110⟩ along the beam."""
    mean = 0.8 if quick else 2.0
    px = 48 if quick else 96
    along = Specimen(
        material="Pt",
        diameter_nm=Diameter(mean=mean, std=0.05, min=mean - 0.2, max=mean + 0.2),
        particles=Particles(min=1, max=1),
        orientation=Orientation(zone=[1, 1, 0], within_deg=0.0),
    )
    grid = Microscope(field_px=px).sampling
    atoms = specimen.draw(along, grid, seeds.generator("test", 2)).atoms
    q, _ = grid.frequencies()
    within = (q > 0) & grid.band
    rows = []
    for kev in (300,) if quick else COLUMN_KEV:
        reference = Multislice(grid.finer(COLUMN_REFERENCE_A), 1e3 * kev).wave(atoms)
        true = grid.crop(reference)[within]
        for name in ENGINES:
            auto = engine(Microscope(field_px=px, energy_kev=kev, engine=name), "cpu")
            found = grid.crop(auto.wave(atoms))[within]
            value = float(np.linalg.norm(found - true) / np.linalg.norm(true))
            what = f"Pt ⟨110⟩, {mean:g} nm, {kev} kV: error of {name} at auto"
            rows.append((f"{what}, {auto.sampling.pixel_A:.3f} Å [%]", "", value))
    return rows


def draw(pixels: dict, slices: dict, auto_A: float, path: Path) -> None:
    """Draw the largest error of each material over pixel size and over slice thickness."""
    style.set_theme()
    figure = Figure(figsize=(style.inches(style.PAGE_CM), 3.0), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for material, colour, marker in zip(MATERIALS, COLOURS, "os^", strict=True):
        options = {"color": colour, "marker": marker, "ms": 4}
        options["label"] = material.replace("O2", "O₂")
        for axes, values in ((left, pixels[material]), (right, slices[material])):
            x, y = zip(*sorted(values.items()), strict=True)
            axes.loglog(x, 100 * np.array(y), **options)
    # The label of 0.075 Å would touch its neighbours.
    labelled = [pixel for pixel in PIXELS_A[::-1] if pixel != 0.075]
    for axes, ticks, chosen in ((left, labelled, auto_A), (right, SLICES_A, multislice.SLICE_A)):
        axes.axhline(100 * GOAL, color=style.NEUTRAL, lw=0.8, ls="--", label="goal")
        axes.axvline(chosen, color=style.NEUTRAL, lw=0.8, ls="-.", label="Passband's choice")
        axes.set_xticks(ticks, [style.number(tick) for tick in ticks])
        axes.minorticks_off()
    ticks = [0.05, 0.1, 0.2, 0.5, 1, 2, 5]
    left.set_yticks(ticks, [style.number(tick) for tick in ticks])
    left.set_xlabel("pixel of multislice [Å]")
    right.set_xlabel("thickness of a slice [Å]")
    left.set_ylabel(f"error of the wave up to\n{APERTURES_MRAD[-1]} mrad [%], worst structure")
    style.letter((left, right))
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=5)
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one small structure, in seconds")
    parser.add_argument("--figure", type=Path, help="file of the figure, such as a.png")
    options = parser.parse_args()
    quick = options.quick
    microscope = Microscope(field_px=48 if quick else 128)
    grid, auto = microscope.sampling, microscope.multislice
    diameter = Diameter(mean=0.8, std=0.1, min=0.6, max=1.0) if quick else Diameter()
    number, materials = (1, MATERIALS[:1]) if quick else (8, MATERIALS)
    goal = f"≤ {100 * GOAL:g}"
    pixels: dict[str, dict[float, float]] = {}
    slices: dict[str, dict[float, float]] = {}
    rows: list[tuple[str, str, float]] = []
    for material in materials:
        pixels[material] = dict.fromkeys(PIXELS_A[:: 3 if quick else 1], 0.0)
        slices[material] = dict.fromkeys(SLICES_A[:: 2 if quick else 1], 0.0)
        worst = dict.fromkeys(APERTURES_MRAD, 0.0)
        contrast = change = 0.0
        engines = timed(grid)
        of_engines = dict.fromkeys(engines, 0.0)
        alpha = APERTURES_MRAD[-1]
        for atoms in structures(material, grid, number, diameter):
            reference = grid.crop(Multislice(grid.finer(REFERENCE_A), ENERGY_EV).wave(atoms))
            found = grid.crop(Multislice(auto, ENERGY_EV).wave(atoms))
            for each in worst:
                worst[each] = max(worst[each], error(found, reference, grid, each))
            seen, true = image(found, grid, alpha), image(reference, grid, alpha)
            contrast = max(contrast, abs(seen.std() / true.std() - 1))
            change = max(change, float(np.sqrt(np.mean((seen - true) ** 2)) / true.std()))
            for name, one in engines.items():
                value = error(grid.crop(one.wave(atoms)), reference, grid, alpha)
                of_engines[name] = max(of_engines[name], value)
            for pixel, known in pixels[material].items():
                wave = Multislice(grid.finer(pixel), ENERGY_EV).wave(atoms)
                pixels[material][pixel] = max(known, error(grid.crop(wave), reference, grid, alpha))
            thin = grid.crop(with_slices(auto, REFERENCE_SLICE_A, atoms))
            for thickness, known in slices[material].items():
                wave = grid.crop(with_slices(auto, thickness, atoms))
                slices[material][thickness] = max(known, error(wave, thin, grid, alpha))
        where = f"{material}, {auto.pixel_A:.3f} Å"
        for each, value in worst.items():
            rows.append((f"{where}: error of the wave up to {each} mrad [%]", goal, value))
        rows.append((f"{where}: error of std(I) [%]", goal, contrast))
        rows.append((f"{where}: rms ΔI / std(I) [%]", "", change))
        thick = slices[material][1.0]
        rows.append((f"{where}: error with slices of 1 Å, relative to 0.125 Å [%]", "", thick))
        for name, value in of_engines.items():
            most = goal if "auto" in name else ""
            rows.append((f"{material}: error of {name} up to {alpha} mrad [%]", most, value))
            seconds = float(np.mean(engines[name].seconds))
            rows.append((f"{material}: time of {name} [s]", "", seconds))
        for pixel, value in pixels[material].items():
            rows.append((f"{material}, {pixel:g} Å: error up to {alpha} mrad [%]", "", value))
    rows += column_rows(quick)
    printed = [
        (what, most, f"{100 * value if what.endswith('[%]') else value:.3g}")
        for what, most, value in rows
    ]
    print(markdown.table(["what", "goal", "measured"], printed))
    if options.figure:
        draw(pixels, slices, auto.pixel_A, options.figure)


if __name__ == "__main__":
    main()
