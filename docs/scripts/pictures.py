"""Make the pictures of the docs, docs/images/*.png: run it from the repository's root.

    python docs/scripts/pictures.py  # after the demo, whose networks, figures and pages they show

They have few colours, which keeps the files small. The pages need Chromium. `make images` runs this
script, and the commands that make the other pictures.
"""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from PIL import Image

from passband import units
from passband.config import Diameter, Microscope, Particles, Specimen, Substrate, validate_stored
from passband.figures import gallery, images, style
from passband.figures.images import scale_bar
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Split, Structures
from passband.learning import evaluation, networks
from passband.results import Results, layout, shown_networks
from passband.specimens import exit_waves as simulate
from passband.specimens import masks as specimen_masks
from passband.storage import datasets

FOLDER = Path(__file__).parents[1] / "images"
DEMO = Path("results/demo")
CPU = torch.device("cpu")

COLOURS = 256

#: The demo's pages, and the height of the part that is shown, of a window 1280 px wide [px].
PAGES = {layout.REPORT: 846, layout.EXPLORER: 800}

#: A specimen whose particles overlap, and the seed of the structures that are shown.
BOTH_FACES = Specimen(
    shape="truncated-octahedron",
    diameter_nm=Diameter(mean=1.7, std=0.2, min=1.3, max=2.1),
    particles=Particles(min=3, max=4),
    substrate=Substrate(thickness_nm=1.0, faces="both"),
)
MICROSCOPE = Microscope()
SEED = 0


def shrink(source: Path, name: str) -> None:
    """Write a picture into the docs with fewer colours."""
    FOLDER.mkdir(exist_ok=True)
    few = Image.open(source).convert("RGB").quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE)
    few.save(FOLDER / f"{name}.png", optimize=True)


def masks() -> Figure:
    """How masks come about, of one structure."""
    sampling = MICROSCOPE.sampling
    structure = simulate.structure("gold", BOTH_FACES, sampling, SEED, "test", 1)
    numbers = structure.atoms.arrays["particle"]
    return images.masks(
        structure.atoms.positions[:, :2],
        numbers,
        structure.material.neighbour_A / 2,
        specimen_masks.CLOSING_A,
        specimen_masks.instances(structure, sampling),
        sampling.pixel_A,
    )


def sheet() -> Figure:
    """A gallery of two structures."""
    waves = simulate.simulate("gold", BOTH_FACES, MICROSCOPE, SEED, "test", range(2))
    split = Split.from_dataset(waves, Structures(SEED, "gold", "test", MICROSCOPE), CPU)
    camera = Acquisition.from_microscope(MICROSCOPE, "zscore", CPU)
    return gallery.sheet(camera, split, BOTH_FACES, Condition(20, 1.2, 18, 1000))


def overview(results: Path) -> Figure:
    """Images and masks of one test structure, for two lenses, two doses and two networks.

    Lens A is that of the network in the figure of examples. Lens B has the lowest value of each
    axis. The networks were trained with lens A, at the highest dose and at the lowest dose.
    """
    metrics = datasets.read(results / layout.OOD, datasets.OOD)
    study = validate_stored(json.loads(metrics.attrs["configuration"]))
    example = shown_networks.example_cell(study, lambda record: True)
    axes = study.train_axes
    a = Condition.parse(example.condition)
    b = Condition(*(values[0] for values in axes.values()))
    doses = axes["dose_e_per_A2"][-1], axes["dose_e_per_A2"][0]
    shown = [replace(lens, dose_e_per_A2=dose) for dose in doses for lens in (a, b)]
    words = [f"lens {lens},\n{many} electrons" for many in ("many", "few") for lens in "AB"]
    stored = Results(study, results).structures(example.batch.specimen, "test")
    structures = stored.load(CPU).first(1)
    predictions = []
    for trained in (0, 2):
        path = example.batch.path(layout.WEIGHTS).replace(example.condition, shown[trained].id)
        network, found = networks.load_first(results / path)
        camera = Acquisition.from_microscope(study.microscope, found.normalisation, CPU)
        seen = evaluation.examples(network, camera, structures, shown, found.precision)
        pictures, masks, scores = ([of[c.id][0] for c in shown] for of in seen)
        predictions.append(Prediction(trained, np.stack(masks), np.array(scores)))
    truth = structures.under(a).masks[0, 0].cpu().numpy().astype(bool)
    side_nm = len(truth) * study.microscope.sampling.pixel_A / units.A_PER_NM
    return drawn(words, np.stack(pictures), truth, predictions, side_nm)


@dataclass(frozen=True)
class Prediction:
    """What a network predicts for the images of the overview.

    Attributes:
        trained: Number of the setting under which the network was trained.
        masks: (settings, px, px) bool, pixels that the network classifies as particle, for each
            setting.
        dice: (settings,), Dice of each mask.
    """

    trained: int
    masks: np.ndarray
    dice: np.ndarray


def drawn(
    settings: Sequence[str],
    images: np.ndarray,
    truth: np.ndarray,
    networks: Sequence[Prediction],
    side_nm: float,
) -> Figure:
    """Return the figure of images of one structure under several settings, and of masks.

    The first row has the images. Each further row has the masks of one network over the images. A
    mask is blue under the network's training setting, and orange elsewhere. The true outlines are
    yellow.

    Args:
        settings: Words for each setting of the microscope.
        images: (settings, px, px).
        truth: (px, px) bool, ground truth mask.
        side_nm: Side of the images.
    """
    rows, columns = 1 + len(networks), len(settings)
    extent = (0, side_nm, 0, side_nm)
    side_cm = (style.PAGE_CM - 2.2) / columns - 0.15
    height_cm = rows * (side_cm + 0.15) + len(networks) * 0.5 + 2.4
    figure, axes = style.panels(rows, columns, style.PAGE_CM, height_cm)
    for ax, words, image in zip(axes[0], settings, images, strict=True):
        show(ax, image, extent)
        ax.set_title(words, fontsize=style.MEDIUM)
    scale_bar(axes[0, 0], side_nm)
    axes[0, 0].set_ylabel("what the\nmicroscope sees")
    for row, network in zip(axes[1:], networks, strict=True):
        trained = settings[network.trained].replace("\n", " ")
        row[0].set_ylabel(f"network trained with\n{trained}")
        for k, (ax, image) in enumerate(zip(row, images, strict=True)):
            own = k == network.trained
            colour = style.OWN if own else style.OTHER
            show(ax, image, extent)
            mask = np.zeros((*truth.T.shape, 4))
            mask[network.masks[k].T] = to_rgba(colour, 0.6)
            ax.imshow(mask, origin="lower", extent=extent)
            if truth.any() and not truth.all():
                ax.contour(
                    truth.T,
                    [0.5],
                    colors=style.TRUTH,
                    linewidths=1.6,
                    origin="lower",
                    extent=extent,
                )
            words = f"Dice {network.dice[k]:.2f}{', trained here' if own else ''}"
            ax.set_xlabel(words, color=colour, labelpad=3, fontweight="bold")
    handles = [
        plt.Rectangle((0, 0), 1, 1, color=to_rgba(colour, 0.6), label=f"found under {words}")
        for colour, words in (
            (style.OWN, "the training setting"),
            (style.OTHER, "another setting"),
        )
    ]
    handles.append(plt.Line2D([], [], color=style.TRUTH, lw=2, label="true outline"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def show(ax: Axes, image: np.ndarray, extent: tuple[float, float, float, float]) -> None:
    low, high = np.quantile(image, [0.005, 0.995])
    ax.imshow(image.T, cmap="gray", origin="lower", vmin=low, vmax=high, extent=extent)
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)


def page(source: Path, height: int, target: Path) -> None:
    """Write the first part of a page as Chromium draws it."""
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += ["--disable-background-networking", "--virtual-time-budget=4000"]
    command += [f"--user-data-dir={target.parent / 'chromium'}", f"--window-size=1280,{height}"]
    command += [f"--screenshot={target}", source.resolve().as_uri()]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


def main() -> None:
    for name in ("examples", "matrix"):
        shrink(DEMO / "figures" / f"{name}.png", name)
    with TemporaryDirectory() as folder:
        for source, height in PAGES.items():
            picture = Path(folder) / Path(source).with_suffix(".png")
            page(DEMO / source, height, picture)
            shrink(picture, picture.stem)
        for name, figure in (
            ("overview", overview(DEMO)),
            ("masks", masks()),
            ("gallery", sheet()),
        ):
            path = Path(folder) / f"{name}.png"
            style.save(figure, [path], 150)
            shrink(path, name)


if __name__ == "__main__":
    main()
