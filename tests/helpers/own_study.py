"""Studies with parts of their own, in a folder of a test."""

from collections.abc import Mapping
from pathlib import Path

import yaml

from passband.config import Study, load


def write(folder: Path, part: str, content: Mapping[str, object], name: str = "own") -> Path:
    """Write a file of parts and the study beside it, and return the study's file."""
    (folder / "parts").mkdir(exist_ok=True)
    (folder / f"parts/{name}.py").write_text(part)
    (folder / "study.yaml").write_text(yaml.safe_dump(content))
    return folder / "study.yaml"


def trusted(file: Path) -> Study:
    """Open a study whose parts may run."""
    study = load(file)
    study.known_parts.trust()
    return study
