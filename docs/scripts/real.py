"""Segment real images with the network of the package and those of studies/real.yaml: docs/real.

    python docs/scripts/real.py FOLDER               # FOLDER has the folders images and masks
    python docs/scripts/real.py FOLDER --out results/real-images --demo results/demo

The tables and the pictures are made here from the images and the networks. Everything is printed
too. A patch whose mask covers less than 1% of the image is left out of means of Dice.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from scipy import ndimage

from passband import PassbandError, units
from passband.figures import style
from passband.figures.images import scale_bar
from passband.learning.network_files import Network, finished_networks, open_networks
from passband.micrographs import outputs
from passband.micrographs.images import readers
from passband.micrographs.images.segmentation import segment
from passband.micrographs.images.settings import Settings
from passband.micrographs.rings.film import otsu_threshold
from passband.micrographs.truth import EMPTY
from passband.network_id import NetworkId
from passband.reports import markdown
from passband.results import Results
from passband.scores import dice_of_masks

#: Side of a pixel of the images [Å].
PIXEL_A = 0.776
#: Dice of the source's network, which was trained on real images, by the numbers that the source
#: prints.
SOURCE = {
    "au2p2nm_0": 0.847,
    "au2p2nm_3": 0.821,
    "au5nm_0": 0.800,
    "au5nm_2": 0.891,
    "au10nm_1": 0.976,
}
#: The network of the package, which is used at the threshold ½ with the default preparation.
GENERAL = "general"
#: Colours of the outlines of true masks and of predicted masks.
COLOURS = style.TRUTH, style.FEATURES
#: Number of images in a row of the picture, and its resolution.
COLUMNS, DPI = 3, 150
MARKS = "<!-- results begin -->", "<!-- results end -->"


@dataclass(frozen=True)
class Patch:
    """A real image with its hand-drawn mask."""

    name: str
    image: np.ndarray
    mask: np.ndarray

    @property
    def is_empty(self) -> bool:
        return self.mask.mean() < EMPTY


def read(folder: Path) -> list[Patch]:
    """Return the patches of a folder, sorted by name.

    Raises:
        PassbandError: If the folder has no images, or an image has no mask.
    """
    paths = sorted((folder / "images").glob("*.png"))
    if not paths:
        raise PassbandError(f"{folder}: has no images/*.png; give the folder of the real images")
    patches = []
    for path in paths:
        mask = folder / "masks" / path.name
        if not mask.exists():
            raise PassbandError(f"{path}: there is no mask {mask}")
        (image,) = readers.read(path, PIXEL_A).images
        (true,) = readers.read_mask(mask)
        patches.append(Patch(path.stem, image, true))
    return patches


# ── Methods without training ─────────────────────────────────────────────────────────────────────


def otsu(values: np.ndarray) -> np.ndarray:
    """Return which values are above Otsu's threshold."""
    return values > otsu_threshold(values)[0]


def classical(image: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the masks of 32 settings: a blur, or the local energy in a band, and Otsu's threshold.

    The band is a difference of two Gaussians.
    """
    for sigma in (1, 2, 3, 4, 6, 8, 10):
        blurred = ndimage.gaussian_filter(image, sigma)
        yield f"blur of {sigma} px, dark particles", otsu(-blurred)
        yield f"blur of {sigma} px, bright particles", otsu(blurred)
    for fine, coarse in ((0.4, 0.8), (0.5, 1.0), (0.8, 1.6)):
        band = ndimage.gaussian_filter(image, fine) - ndimage.gaussian_filter(image, coarse)
        for sigma in (2, 3, 4, 5, 6, 8):
            energy = ndimage.gaussian_filter(band**2, sigma)
            yield f"energy between blurs of {fine} and {coarse} px, over {sigma} px", otsu(energy)


def best_classical(patches: list[Patch]) -> tuple[str, dict[str, float]]:
    """Return the setting with the highest mean Dice over the patches, and its Dice by patch."""
    scores: dict[str, dict[str, float]] = {}
    for patch in patches:
        for name, mask in classical(patch.image):
            scores.setdefault(name, {})[patch.name] = value(mask, patch)
    return max(scores.items(), key=lambda item: mean(item[1], patches))


# ── Networks ─────────────────────────────────────────────────────────────────────────────────────


def value(mask: np.ndarray, patch: Patch) -> float:
    """Return Dice, or the fraction of wrong pixels where a patch is empty."""
    return float((mask & ~patch.mask).mean()) if patch.is_empty else dice_of_masks(mask, patch.mask)


def mean(scores: dict[str, float], patches: list[Patch]) -> float:
    return float(np.mean([scores[patch.name] for patch in patches if not patch.is_empty]))


def measure(networks: list[Network], patches: list[Patch]) -> dict[str, float]:
    """Return the score of each patch; several networks predict together."""
    return {
        patch.name: value(segment(patch.image, PIXEL_A, networks).mask, patch) for patch in patches
    }


def of_study(results: Results) -> dict[NetworkId, list[Network]]:
    """Return the replicas of each network of a study; empty if the study has not run."""
    return {id: open_networks(results, id) for id in finished_networks(results)}


def outlined(
    images: Mapping[str, np.ndarray],
    masks: Sequence[Mapping[str, np.ndarray]],
    pixel_nm: Mapping[str, float],
    words: Sequence[str] = ("drawn by a person", "found by the network"),
) -> Figure:
    """Return a figure of real images with the outlines of masks, a scale bar in each, and letters.

    Args:
        images: (height, width), by the name of the image.
        masks: For each kind of outline, the masks (height, width) bool by the name of the image.
        pixel_nm: Side of a pixel [nm], by the name of the image.
        words: For each kind of outline, what it is.
    """
    rows = -(-len(images) // COLUMNS)
    side_cm = style.PAGE_CM / COLUMNS
    figure, axes = style.panels(rows, COLUMNS, style.PAGE_CM, side_cm * rows + 0.9)
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, (name, image) in zip(axes.flat, images.items(), strict=False):
        high, wide = (length * pixel_nm[name] for length in image.shape)
        extent = (0, wide, 0, high)
        ax.imshow(outputs.stretched(image), cmap="gray", extent=extent, interpolation="nearest")
        for of, colour in zip(masks, COLOURS, strict=True):
            if of[name].any() and not of[name].all():
                how = {"colors": [colour], "linewidths": 1.2, "origin": "upper"}
                ax.contour(of[name], [0.5], extent=extent, **how)
        ax.set_title(name, fontsize=style.SMALL, pad=3)
        scale_bar(ax, wide)
    style.letter(axes.flat[: len(images)], 3)
    handles = [
        plt.Line2D([], [], color=colour, lw=1.4, label=label)
        for colour, label in zip(COLOURS, words, strict=True)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def write(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG file with few colours, which is small."""
    style.save(figure, [path], DPI)
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE).save(path, optimize=True)


def picture(patches: list[Patch], networks: list[Network], path: Path) -> None:
    """Write a picture of all patches with the outlines of true and predicted masks."""
    images = {patch.name: patch.image for patch in patches}
    found = {
        name: segment(image, PIXEL_A, networks, Settings()).mask for name, image in images.items()
    }
    true = {patch.name: patch.mask for patch in patches}
    sides = dict.fromkeys(images, PIXEL_A / units.A_PER_NM)
    write(outlined(images, [true, found], sides), path)


# ── Tables ───────────────────────────────────────────────────────────────────────────────────────


def rows(patches: list[Patch], options: argparse.Namespace) -> Iterator[tuple[str, dict]]:
    """Yield the name and the scores of each method."""
    yield "everything particle", everything(patches)
    name, scores = best_classical(patches)
    yield f"best of 32 classical settings ({name})", scores
    for label, study in (("demo", options.demo), ("real", options.grid)):
        ids = of_study(Results(None, study))
        plain = {id: measure(found, patches) for id, found in ids.items()}
        options.measured[label] = {str(id): scores for id, scores in plain.items()}
        if not ids:
            continue
        middle = {p.name: float(np.mean([s[p.name] for s in plain.values()])) for p in patches}
        yield f"mean of the {len(ids)} networks of `{label}`", middle
        best = max(plain, key=lambda id: mean(plain[id], patches))
        yield f"best of them on these patches, `{best.condition}`", plain[best]
    name = options.general
    networks = open_networks(name)
    scores = measure(networks, patches)
    options.measured[name] = scores
    yield f"**`{name}`**", scores
    if set(SOURCE) == {patch.name for patch in patches if not patch.is_empty}:
        yield "the source's network, trained on real images (as printed)", SOURCE


def everything(patches: list[Patch]) -> dict[str, float]:
    return {patch.name: value(np.ones_like(patch.mask), patch) for patch in patches}


def table(patches: list[Patch], options: argparse.Namespace) -> str:
    """Return the table of all methods as Markdown."""
    full = [patch for patch in patches if not patch.is_empty]
    empty = [patch for patch in patches if patch.is_empty]
    head = ["method", *(p.name for p in full), "mean"]
    head += [f"wrong in {p.name}" for p in empty]
    lines = []
    for name, scores in rows(patches, options):
        cells = [name, *(f"{scores[p.name]:.2f}" for p in full), f"**{mean(scores, full):.3f}**"]
        cells += [f"{100 * scores[p.name]:.1f}%" if p.name in scores else "" for p in empty]
        lines.append(cells)
        print(" | ".join(cells), flush=True)
    return markdown.table(head, lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with the folders images and masks")
    parser.add_argument(
        "--out", type=Path, default=Path("docs/real"), help="folder that is written"
    )
    parser.add_argument("--demo", type=Path, default=Path("results/demo"))
    parser.add_argument("--grid", type=Path, default=Path("results/real"))
    parser.add_argument("--general", default=GENERAL, help="networks of one condition")
    options = parser.parse_args()
    options.measured = {}
    try:
        patches = read(options.data)
        general = open_networks(options.general)
        text = table(patches, options)
    except PassbandError as error:
        parser.exit(1, f"{error}\n")
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "scores.json").write_text(json.dumps(options.measured, indent=1) + "\n")
    picture(patches, general, options.out / "masks.png")
    page = options.out / "README.md"
    if page.exists() and all(mark in (old := page.read_text()) for mark in MARKS):
        begin, end = (old.index(mark) for mark in MARKS)
        page.write_text(f"{old[:begin]}{MARKS[0]}\n\n{text.strip()}\n\n{old[end:]}")


if __name__ == "__main__":
    main()
