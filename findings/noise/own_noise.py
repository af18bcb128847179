"""What `general-2026` finds if an image's noise is measured, taken for white or averaged, or left.

    python -m findings.noise.own_noise                 # simulated images with white noise
    python -m findings.noise.own_noise --hrtem FOLDER  # also real patches, enlarged

Dice is a mean over images. In parentheses is the number of images that are called unlike the
training. FOLDER has the folders `images` and `masks`, with pixels of 0.776 Å.
"""

import argparse
import io
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image

from docs.scripts.real import PIXEL_A as DRAWN_A
from docs.scripts.real import Patch, read
from passband import PassbandError
from passband.config import loading, study_file
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Split, Structures
from passband.learning.network_files import open_networks
from passband.micrographs.images import own_noise, preparation
from passband.micrographs.images.segmentation import segment
from passband.micrographs.images.settings import Settings
from passband.micrographs.trust import trust_files
from passband.micrographs.trust.trust import Assessor
from passband.micrographs.truth import score
from passband.reports import markdown
from passband.specimens import exit_waves

GENERAL = Path("studies/real-general.yaml")
PIXEL_A = 0.5
STRUCTURES = 5
SEED = 99
#: The slope that an image is said to have, and the setting: None measures, False leaves the image.
TREATMENTS = {
    "measured": (None, None),
    "as white": (0.0, None),
    "as averaged": (-10.0, None),
    "left": (None, False),
}
(NETWORK,) = open_networks("general-2026")
TRUST = trust_files.open_trust([NETWORK])


def row(name: str, images: list[np.ndarray], masks: list[np.ndarray], pixel_A: float) -> list[str]:
    """Return the cells of a row: the mean Dice for each treatment."""
    cells = [name]
    for slope, setting in TREATMENTS.values():
        dice, unlike = [], 0
        for image, mask in zip(images, masks, strict=True):
            assessor = Assessor([TRUST], [NETWORK])
            assessor.begin()
            settings, said = Settings(filter_noise=setting), lambda *_, slope=slope: slope
            with patch.object(own_noise, "slope", own_noise.slope if slope is None else said):
                found = segment(image, pixel_A, [NETWORK], settings, watch=assessor.watch)
            unlike += assessor.finish().is_flagged
            dice.append(score(found.mask, mask, pixel_A).dice)
        cells.append(f"{np.mean(dice):.3f} ({unlike})")
    return cells


def simulated() -> tuple[np.ndarray, np.ndarray]:
    """Return intensities of new structures without noise, with the mean 1, and their masks."""
    written = study_file.read(GENERAL)
    written["microscope"] |= {"detector": {}, "field_px": 256, "spread": {}}
    study = loading.validate(written)
    specimen, microscope = study.specimens["gold"], study.microscope
    waves = exit_waves.simulate(
        "gold", specimen, microscope, SEED, "test", range(STRUCTURES), "cpu"
    )
    cpu = torch.device("cpu")
    split = Split.from_dataset(waves, Structures(SEED, "gold", "test", microscope), cpu)
    condition = Condition(defocus_nm=25, cs_um=0, aperture_mrad=26, dose_e_per_A2=200)
    camera = Acquisition.from_microscope(microscope, "zscore", cpu)
    found = torch.cat(list(camera.intensities(split, condition))).numpy()
    return found / found.mean((1, 2), keepdims=True), waves["mask"].values > 0


def enlarged(image: np.ndarray, pixel_A: float, by: str, quality: int) -> np.ndarray:
    """Return an 8-bit image with smaller pixels, compressed to JPEG with a quality above 0."""
    if by == "Fourier":
        found = preparation.resample(image.astype(np.float32), DRAWN_A, pixel_A)
        found = np.clip(np.round(found * (DRAWN_A / pixel_A) ** 2), 0, 255).astype(np.uint8)
    else:
        found = np.asarray(resized(image, pixel_A, by))
    if quality:
        file = io.BytesIO()
        Image.fromarray(found).save(file, "JPEG", quality=quality)
        found = np.asarray(Image.open(file))
    return found.astype(np.float32)


def resized(image: np.ndarray, pixel_A: float, by: str) -> Image.Image:
    sides = (round(n * DRAWN_A / pixel_A) for n in image.shape[::-1])
    return Image.fromarray(image).resize(tuple(sides), Image.Resampling[by.upper()])


def of_simulated() -> Iterator[list[str]]:
    """Yield the rows of simulated images."""
    intensities, masks = simulated()
    for dose in (1000, 200, 50):
        counts = np.random.default_rng(dose).poisson(intensities * dose * PIXEL_A**2)
        yield row(f"white, {dose} e/Å²", list(counts.astype(np.float32)), list(masks), PIXEL_A)


def of_patches(patches: Sequence[Patch]) -> Iterator[list[str]]:
    """Yield the rows of real patches with particles, as they were drawn and enlarged."""
    shown = [patch for patch in patches if not patch.is_empty]
    masks = [patch.mask for patch in shown]
    yield row("as drawn", [patch.image for patch in shown], masks, DRAWN_A)
    for pixel_A, by, quality in (
        (0.5, "Fourier", 0),
        (0.5, "Lanczos", 0),
        (0.388, "Lanczos", 60),
        (0.5, "bicubic", 85),
        (0.5, "bilinear", 0),
    ):
        images = [enlarged(p.image.astype(np.uint8), pixel_A, by, quality) for p in shown]
        true = [np.asarray(resized(m.astype(np.uint8), pixel_A, "nearest")) > 0 for m in masks]
        true = [
            t if t.shape == i.shape else t[: i.shape[0], : i.shape[1]]
            for t, i in zip(true, images, strict=True)
        ]
        jpeg = f", JPEG {quality}" * bool(quality)
        yield row(f"{pixel_A:g} Å, {by}{jpeg}", images, true, pixel_A)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--hrtem", type=Path, metavar="FOLDER")
    folder = parser.parse_args().hrtem
    try:
        patches = read(folder) if folder else []
    except PassbandError as error:
        parser.exit(1, f"{error}\n")
    rows = itertools.chain(of_simulated(), of_patches(patches) if patches else [])
    print(markdown.table(("images", *TREATMENTS), rows))


if __name__ == "__main__":
    main()
