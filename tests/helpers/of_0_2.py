"""Finished studies that Passband 0.2 made, and what a folder holds."""

import subprocess
from pathlib import Path

import yaml

from passband.config import removed_keys

DATA = Path(__file__).parents[1] / "data"


def unpack(folder: Path, name: str = "finished") -> Path:
    """Unpack a finished study of 0.2 with Snakemake's records, and return its folder of results.

    Its file has no keys that were removed since then.
    """
    subprocess.run(["tar", "xf", DATA / f"{name}.tar.xz", "-C", folder], check=True)
    file = folder / "study.yaml"
    study, _ = removed_keys.drop(yaml.safe_load(file.read_text()))
    file.write_text(yaml.safe_dump(study))
    (results,) = (folder / "results").iterdir()
    return results


def content(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return the time and the bytes of each file in a folder, by its path there."""
    return {
        str(file.relative_to(folder)): (file.stat().st_mtime_ns, file.read_bytes())
        for file in folder.rglob("*")
        if file.is_file()
    }
