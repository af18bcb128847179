"""The networks of the package, and the files of a published folder that several rooms read."""

from pathlib import Path

from passband.errors import PassbandError
from passband.parts import FOLDER
from passband.storage import integrity

#: The weights. Every published folder has this file.
WEIGHTS = "weights.safetensors"
#: The study's file, and the table of results of the networks of one specimen and architecture.
STUDY, TABLE = "study.yaml", "table.zarr.zip"
#: The largest size of a file of a published folder [bytes]. The checksum of more takes minutes.
MOST_BYTES = 4_000_000_000
#: What computes the network for images of microscopes, and how they are prepared for it.
ONNX, NETWORK = "model.onnx", "network.json"
#: What is known about images that the network has not seen.
LIKENESS = "likeness.json"
#: The text that describes a network.
CARD = "README.md"
#: The description in the format of BioImage.IO.
DESCRIPTION = "rdf.yaml"
#: Version of the preparation of images that a folder's card describes.
PREPARATION = 2
#: The networks that are part of the package, as published folders.
SHIPPED = Path(__file__).parents[1] / "learning/shipped"
#: A simulated image, with which they can be tried.
SAMPLE = SHIPPED / "sample.ome.tif"


def shipped() -> dict[str, Path]:
    """Return the folders of the networks that are part of the package, by name.

    Pages and findings call a network by its year, and ``general`` is the one to use today.
    """
    found = {path.parent.name: path.parent for path in sorted(SHIPPED.glob(f"*/{WEIGHTS}"))}
    return {"general": found["general-2026"]} | found


def is_shipped(path: Path) -> bool:
    """Return whether a file is in the folder of a network of the package."""
    return path.parent.parent == SHIPPED


def check(folder: Path) -> None:
    """Raise PassbandError if a file of a published folder was changed, or has no checksum.

    Whoever changes a file may delete the list of checksums, see :func:`unchecked`.
    """
    if unchecked(folder):
        return
    try:
        parts = [f"{FOLDER}/{file.name}" for file in (folder / FOLDER).glob("*.py")]
        needed = WEIGHTS, NETWORK, LIKENESS, STUDY, TABLE, *parts
        integrity.check_checksums(folder, needed, MOST_BYTES)
    except (ValueError, OSError) as error:
        raise PassbandError(
            f"{folder}: {error}; copy the folder again, or delete {integrity.CHECKSUMS} if the "
            "change is yours"
        ) from None


def unchecked(folder: Path) -> str:
    """Return a line for a published folder without its list of checksums; empty for others."""
    has = (folder / integrity.CHECKSUMS).exists()
    return "" if has else f"{folder} has no {integrity.CHECKSUMS}, so its files are not checked"
