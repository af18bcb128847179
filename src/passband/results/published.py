"""The networks of the package, and the files of a published folder that several rooms read."""

from pathlib import Path

from passband import PassbandError
from passband.storage import integrity

#: The weights. Every published folder has this file.
WEIGHTS = "weights.safetensors"
#: The study's file, and the table of results of the networks of one specimen and architecture.
STUDY, TABLE = "study.yaml", "table.zarr.zip"
#: What is known about images that the network has not seen.
LIKENESS = "likeness.json"
#: The networks that are part of the package, as weights files.
SHIPPED = Path(__file__).parents[1] / "learning/shipped"
#: A simulated image, with which they can be tried.
SAMPLE = SHIPPED / "sample.ome.tif"


def shipped() -> dict[str, Path]:
    """Return the weights files of the networks that are part of the package, by name."""
    return {path.stem: path for path in sorted(SHIPPED.glob("*.safetensors"))}


def check(folder: Path) -> None:
    """Raise PassbandError if a file of a published folder was changed, or has no checksum."""
    try:
        integrity.check_checksums(folder, (WEIGHTS, LIKENESS, STUDY, TABLE))
    except (ValueError, OSError) as error:
        raise PassbandError(
            f"{folder}: {error}; copy the folder again, or delete {integrity.CHECKSUMS} if the "
            "change is yours"
        ) from None
