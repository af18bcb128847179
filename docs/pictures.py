"""Make the pictures of the docs, docs/images/*.png: run it from the repository's root.

    python docs/pictures.py          # after the demo, two of whose figures they are

They have few colours, which keeps the files small.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from matplotlib.figure import Figure
from PIL import Image

from passband.config import Diameter, Microscope, Particles, Specimen, Substrate
from passband.figures import gallery, images, style
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.splits import Split
from passband.specimens import exit_waves as simulate
from passband.specimens import masks as specimen_masks

FOLDER = Path(__file__).parent / "images"
DEMO = Path("results/demo/figures")

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
    split = Split.from_dataset(waves, SEED, torch.device("cpu"))
    camera = Acquisition.from_microscope(MICROSCOPE, "zscore", torch.device("cpu"))
    return gallery.sheet(camera, split, BOTH_FACES, Condition(20, 1.2, 18, 1000))


def main() -> None:
    for name in ("examples", "matrix"):
        shrink(DEMO / f"{name}.png", name)
    with TemporaryDirectory() as folder:
        for name, figure in (("masks", masks()), ("gallery", sheet())):
            path = Path(folder) / f"{name}.png"
            style.save(figure, [path], 110)
            shrink(path, name)


if __name__ == "__main__":
    main()
