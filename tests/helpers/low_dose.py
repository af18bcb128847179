"""The trained network of low_dose_network.tar.xz, and its images."""

import functools
import io
import tarfile
from pathlib import Path

import numpy as np

ARCHIVE = Path(__file__).resolve().parents[1] / "data/low_dose_network.tar.xz"


def extract(folder: Path) -> Path:
    """Write the network and its likeness.json to a folder, as if it were published."""
    for name in ("weights.safetensors", "likeness.json"):
        (folder / name).write_bytes(_contents()[name])
    return folder


def images(material: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the counts (n, 128, 128) float32 and the masks of a material."""
    with np.load(io.BytesIO(_contents()["images.npz"])) as arrays:
        return arrays[material].astype(np.float32), arrays[f"{material}_mask"]


@functools.cache
def _contents() -> dict[str, bytes]:
    with tarfile.open(ARCHIVE) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}
