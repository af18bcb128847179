"""How well `passband ctf` measures defocus, in simulated fields and in real micrographs.

Exit waves of amorphous carbon, with and without gold particles, are computed by multislice. Images
at many defoci and doses are formed from each wave. The truth is the defocus of the middle of the
carbon film: the defocus of the condition minus the distance from the film's middle to the plane of
the exit wave.

    python docs/scripts/thon_rings.py                # simulated images
    python docs/scripts/thon_rings.py --noise 60     # images without rings
    python docs/scripts/thon_rings.py --real FOLDER  # micrographs, beside their manifest
    python docs/scripts/thon_rings.py --figure docs/images/rings.png
"""

import argparse
import csv
import json
import sys
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from scipy.ndimage import gaussian_filter

from passband import seeds
from passband.config import Diameter, Specimen
from passband.figures import style, thon_rings
from passband.imaging.imager import Imager
from passband.micrographs.images import readers
from passband.micrographs.images.file_metadata import Recorded
from passband.micrographs.rings import ctf_fit
from passband.micrographs.rings.ctf_fit import Settings
from passband.micrographs.rings.lens import Lens
from passband.optics.ctf import Optics
from passband.optics.sampling import Sampling
from passband.reports import markdown
from passband.specimens import carbon, crystals, structures
from passband.specimens.multislice import Multislice

#: Name, thickness of the carbon [nm], fraction of the field with carbon, number of gold particles.
FIELDS = (
    ("vacuum", 0, 0, 0),
    ("2 nm carbon", 2, 1, 0),
    ("5 nm carbon", 5, 1, 0),
    ("10 nm carbon", 10, 1, 0),
    ("2 nm carbon, half of the field", 2, 0.5, 0),
    ("4 nm carbon, particles", 4, 1, 12),
    ("2 nm carbon, half of the field, particles", 2, 0.5, 6),
)
ENERGY_EV, PIXEL_A, PX = 300e3, 0.4, 512
DEFOCI_NM = (-80, 10, 20, 40, 60, 110, 250)
DOSES = (20, 200, 1000)
#: Spherical aberration [µm], aperture [mrad] and two-fold astigmatism [nm]. Images take turns.
LENSES = ((0, 40, 0), (1200, 40, 5), (5, 16, 3))
#: What was measured, its goal as text, and the value.
Row = tuple[str, str, float]


def wave(thickness_nm: float, fraction: float, particles: int, px: int) -> tuple:
    """Return the cropped spectrum of an exit wave, and the middle of the film below it [Å]."""
    sampling = Sampling(px, PIXEL_A)
    half = sampling.cropped // 2
    if not thickness_nm:
        spectrum = np.zeros((sampling.cropped,) * 2, np.complex64)
        spectrum[half, half] = 1
        return spectrum, 0.0
    rng = seeds.generator("thon rings", thickness_nm, fraction, particles, px)
    field, thickness = sampling.field_A, thickness_nm * 10
    film = carbon.amorphous_carbon(field, thickness, 2.0, carbon.DISTANCE_A, rng)
    film = film[film[:, 0] < fraction * field]
    numbers, positions = [np.full(len(film), 6)], [film]
    if particles:
        gold = Specimen(diameter_nm=Diameter(distribution="uniform", min=2, max=4))
        crystal = crystals.crystal("Au", None)
        drawn = [
            structures.particle(crystal, gold, d * 10, rng, field)
            for d in structures.diameters(gold.diameter_nm, particles, rng)
        ]
        places = structures.place([p.positions for p in drawn], fraction * field, 5.0, 1.5, rng)
        for p, at in zip(drawn, places, strict=True):
            if at is not None:
                positions.append(at + np.array([0, 0, thickness + structures.CONTACT_A]))
                numbers.append(p.numbers)
    every = np.concatenate(positions)
    every[:, :2] %= field
    every[:, 2] += structures.PADDING_A
    height = every[:, 2].max() + structures.PADDING_A
    atoms = Atoms(np.concatenate(numbers), every, cell=[field, field, height], pbc=(1, 1, 0))
    found = Multislice(sampling.finer(0.2), ENERGY_EV).wave(atoms)
    spectrum = (sampling.crop(found) * sampling.band).astype(np.complex64)
    return spectrum, height - structures.PADDING_A - thickness / 2


def image(
    spectrum: np.ndarray, px: int, lens: Optics, dose: float, rng: np.random.Generator
) -> np.ndarray:
    """Return the counts of an image."""
    former = Imager(Sampling(px, PIXEL_A), members=7)
    intensity = former.intensity(torch.from_numpy(spectrum)[None, None], lens)[0].numpy()
    return rng.poisson(intensity * dose * PIXEL_A**2).astype(np.float32)


def stored_wave(options: argparse.Namespace, field: tuple, px: int) -> tuple:
    """Return the result of :func:`wave` for a field, from the folder of waves if it is there."""
    name, thickness, fraction, particles = field
    file = options.waves / f"{name.replace(' ', '-').replace(',', '')}-{px}.npz"
    if not file.exists():
        spectrum, middle = wave(thickness, fraction, particles, px)
        options.waves.mkdir(parents=True, exist_ok=True)
        np.savez(file, spectrum=spectrum, middle=middle)
    with np.load(file) as stored:
        return stored["spectrum"], float(stored["middle"])


def draw(options: argparse.Namespace) -> None:
    """Draw the rings of a simulated image with particles: 110 nm underfocus, 400 e/Å²."""
    spectrum, middle = stored_wave(options, FIELDS[5], PX)
    lens = Optics(
        ENERGY_EV, defocus=1100 + middle, aperture=40, focal_spread=20.0, c12=100, phi12=0.6
    )
    counts = image(spectrum, PX, lens, 400, seeds.generator("figure"))
    settings = Settings(ENERGY_EV, 0.0, sign=1)
    (found,) = ctf_fit.measure([ctf_fit.prepare(counts, PIXEL_A, settings)], settings)
    name = "4 nm of carbon with particles"
    measured = Lens(name, Path(name), PIXEL_A, settings, found, Recorded(), ())
    style.save(thon_rings.thon_rings(measured), [options.figure], 110)
    print(measured.line())


def simulated(options: argparse.Namespace) -> list[dict]:
    """Return a record of each simulated image."""
    px = 256 if options.quick else PX
    fields = FIELDS[1:2] if options.quick else FIELDS
    records = []
    for name, thickness, fraction, particles in fields:
        spectrum, middle = stored_wave(options, (name, thickness, fraction, particles), px)
        few = options.quick or not thickness
        for defocus in DEFOCI_NM[3:5] if few else DEFOCI_NM:
            for dose in DOSES[1:2] if options.quick else DOSES:
                cs, aperture, astigmatism = LENSES[len(records) % len(LENSES)]
                if options.quick or (defocus < 0 and cs > 100):
                    cs, aperture, astigmatism = LENSES[0]
                lens = Optics(
                    ENERGY_EV,
                    defocus=defocus * 10 + middle,
                    cs=cs * 1e4,
                    aperture=aperture,
                    focal_spread=20.0,
                    c12=astigmatism * 10,
                    phi12=0.6,
                )
                rng = seeds.generator("noise", name, defocus, dose, cs)
                counts = image(spectrum, px, lens, dose, rng)
                settings = Settings(ENERGY_EV, cs * 1e4, options.contrast)
                prepared = ctf_fit.prepare(counts, PIXEL_A, settings)
                (found,) = ctf_fit.measure([prepared], settings)
                record = {
                    "field": name,
                    "defocus_nm": defocus,
                    "dose": dose,
                    "cs_um": cs,
                    "aperture_mrad": aperture,
                    "found_by": prepared.found_by,
                    "gain": found.gain,
                    "visible": bool(thickness >= 2 and abs(defocus) >= 40 and dose >= 200),
                    "rings": found.is_visible,
                }
                if found.is_visible:
                    record |= judged(found, defocus)
                records.append(record)
                if options.verbose:
                    print(json.dumps(record), flush=True)
    return records


def without_rings(number: int, px: int) -> list[Row]:
    """Return how often images without rings are said to have rings, and the largest gains.

    Images take turns: white noise, noise that a detector blurred, noise with a smooth spectrum.
    """
    settings = Settings(ENERGY_EV, 0.0)
    gains = []
    for k in range(number):
        rng = seeds.generator("no rings", k)
        noise = rng.poisson((3, 30, 300)[k // 3 % 3], (px, px)).astype(np.float32)
        if k % 3:
            noise = gaussian_filter(noise.astype(float), (0.5, 1.2)[k % 3 - 1])
        (found,) = ctf_fit.measure([ctf_fit.prepare(noise, PIXEL_A, settings)], settings)
        gains.append(found.gain)
    wrong = 100 * float(np.mean(np.array(gains) > ctf_fit.VISIBLE))
    return [
        (f"{number} images of noise: with rings [%]", "≤ 1", wrong),
        ("gain of noise, mean", "", float(np.mean(gains))),
        ("gain of noise, largest", "", float(np.max(gains))),
    ]


def judged(found: ctf_fit.Measurement, defocus: float) -> dict:
    """Return the measured defocus of the true sign, and whether it is right."""
    sign = 1 if defocus > 0 else -1
    own = found.of_sign(sign)
    value, low, high = (x / 10 for x in found.defocus_A(sign if own else None))
    error = abs(value - defocus)
    return {
        "value": value,
        "low": low,
        "high": high,
        "right": bool(error <= max(2, 0.02 * abs(defocus))),
        "covered": bool(low <= defocus <= high),
        "misled": bool(error > 0.1 * abs(defocus) and not low <= defocus <= high),
        "sign": found.likelihoods[sign],
    }


def real(folder: Path, cs_um: float | None, contrast: float | None) -> list[dict]:
    """Return a record of each real micrograph of a folder with a manifest."""
    with (folder / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    settings = Settings(200e3, None if cs_um is None else cs_um * 1e4, contrast)
    images = [
        ctf_fit.prepare(
            readers.read(folder / "images" / f"{r['image']}.png", 0.564).images[0], 0.564, settings
        )
        for r in rows
    ]
    found = ctf_fit.measure(images, settings)
    records = []
    for row, each in zip(rows, found, strict=True):
        stated = float(row["defocus_nm_if_200kV_pixel0p0564nm"])
        value, low, high = (x / 10 for x in each.defocus_A())
        records.append(
            {
                "image": row["image"],
                "stated": stated,
                "value": value,
                "low": low,
                "high": high,
                "ratio": value / stated,
                "cs_um": each.cs_A / 1e4,
                "cs_std": each.cs_std_A / 1e4,
                "sign": each.likelihoods[1],
            }
        )
    return records


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one small field, in seconds")
    parser.add_argument("--verbose", action="store_true", help="print a record of each image")
    parser.add_argument("--waves", type=Path, default=Path("results/thon_rings"))
    parser.add_argument("--contrast", type=float, help="amplitude contrast (default: 0.1 ± 0.06)")
    parser.add_argument("--real", type=Path, help="folder of real micrographs with a manifest")
    parser.add_argument("--cs-um", type=float, help="the Cs of the real micrographs")
    parser.add_argument("--figure", type=Path, help="draw the rings of one image, and end")
    parser.add_argument("--noise", type=int, default=0, help="number of images of noise")
    options = parser.parse_args()
    if options.figure:
        draw(options)
        return
    if options.real:
        records = real(options.real, options.cs_um, options.contrast)
        for record in records:
            print(json.dumps(record))
        rows = of_micrographs(records)
    elif options.noise:
        rows = without_rings(options.noise, PX // 2)
    else:
        rows = of_simulated(simulated(options))
    printed = [(what, goal, f"{value:.3g}") for what, goal, value in rows]
    print(markdown.table(["what", "goal", "measured"], printed))


def of_micrographs(records: list[dict]) -> list[Row]:
    near = np.mean([abs(r["ratio"] - 1) <= 0.03 for r in records])
    return [
        ("real micrographs within 3% of the manifest [%]", "", 100 * float(near)),
        ("common Cs [µm]", "", records[0]["cs_um"]),
    ]


def of_simulated(records: list[dict]) -> list[Row]:
    visible = [r for r in records if r["visible"]]
    shown = [r for r in records if r["rings"]]
    wrong = [r for r in shown if r["sign"] < 0.01]
    misled = "off by 10% with an interval without the truth [%]"
    rows = [
        ("visible images whose rings are found [%]", "≥ 100", share(visible, "rings")),
        ("visible images within 2 nm or 2% [%]", "≥ 95", share(visible, "right")),
        (f"visible images {misled}", "≤ 0", share(visible, "misled")),
        ("images with rings found: within 2 nm or 2% [%]", "", share(shown, "right")),
        ("95% intervals that contain the truth [%]", "", share(shown, "covered")),
        (misled, "", share(shown, "misled")),
        ("signs excluded wrongly [%]", "", 100 * len(wrong) / max(1, len(shown))),
    ]
    if blank := [r for r in records if r["field"] == "vacuum"]:
        rows.append(("vacuum with rings [%]", "", share(blank, "rings")))
    return rows


def share(records: list[dict], key: str) -> float:
    """Return the share of records with a property [%]."""
    return 100 * float(np.mean([bool(r.get(key)) for r in records])) if records else np.nan


if __name__ == "__main__":
    sys.exit(main())
