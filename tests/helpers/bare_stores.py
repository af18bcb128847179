"""Stores that have attributes and no data, for what is read without the data."""

import json
import zipfile
from pathlib import Path

from passband.storage import integrity


def write_bare(path: str | Path, **attributes: object) -> None:
    """Write the attributes of a store to a folder, or to a zip file."""
    path = Path(path)
    content = {"attributes": {"format": integrity.FORMAT, **attributes}}
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("zarr.json", json.dumps(content))
        return
    path.mkdir(parents=True, exist_ok=True)
    (path / "zarr.json").write_text(json.dumps(content))
    integrity.write_checksums(path, [path / "zarr.json"])
