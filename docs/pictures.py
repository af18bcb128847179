"""Make the pictures of the docs, docs/images/*.png: run it from the repository's root.

    python docs/pictures.py          # after the demo, whose networks and figures some of them show

They have few colours, which keeps the files small. `make images` runs this script, and the commands
that make the other pictures.
"""

import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

from passband.config import Diameter, Microscope, Particles, Specimen, Substrate, validate
from passband.figures import gallery, images, style
from passband.figures import overview as first
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.splits import Split
from passband.learning import evaluation, networks
from passband.results import layout, shown_networks, wave_layout
from passband.specimens import exit_waves as simulate
from passband.specimens import masks as specimen_masks
from passband.storage import datasets

FOLDER = Path(__file__).parent / "images"
DEMO = Path("results/demo")
CPU = torch.device("cpu")

COLOURS = 256

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
    split = Split.from_dataset(waves, SEED, CPU)
    camera = Acquisition.from_microscope(MICROSCOPE, "zscore", CPU)
    return gallery.sheet(camera, split, BOTH_FACES, Condition(20, 1.2, 18, 1000))


def overview(results: Path) -> Figure:
    """Images and masks of one test structure, for two lenses, two doses and two networks.

    Lens A is that of the network in the figure of examples. Lens B has the lowest value of each
    axis. The networks were trained with lens A, at the highest dose and at the lowest dose.
    """
    metrics = datasets.read(results / layout.OOD, datasets.OOD)
    study = validate(json.loads(metrics.attrs["configuration"]))
    example = shown_networks.example_cell(study, lambda record: True)
    axes = study.train_axes
    a = Condition.parse(example.condition)
    b = Condition(*(values[0] for values in axes.values()))
    doses = axes["dose_e_per_A2"][-1], axes["dose_e_per_A2"][0]
    shown = [replace(lens, dose_e_per_A2=dose) for dose in doses for lens in (a, b)]
    words = [f"lens {lens},\n{many} electrons" for many in ("many", "few") for lens in "AB"]
    waves = [results / path for path in wave_layout.shards(study, example.specimen, "test")]
    names = (study.study.seed, example.specimen, "test")
    split = Split.load(waves, names, study.microscope, CPU).first(1)
    predictions = []
    for trained in (0, 2):
        path = example.path(layout.WEIGHTS).replace(example.condition, shown[trained].id)
        network, found = networks.load_first(results / path)
        camera = Acquisition.from_microscope(study.microscope, found.normalisation, CPU)
        seen = evaluation.examples(network, camera, split, shown, found.precision)
        pictures, masks, scores = ([of[c.id][0] for c in shown] for of in seen)
        predictions.append(first.Prediction(trained, np.stack(masks), np.array(scores)))
    truth = split.masks[0, 0].cpu().numpy().astype(bool)
    return first.overview(words, np.stack(pictures), truth, predictions)


def main() -> None:
    for name in ("examples", "matrix"):
        shrink(DEMO / "figures" / f"{name}.png", name)
    with TemporaryDirectory() as folder:
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
