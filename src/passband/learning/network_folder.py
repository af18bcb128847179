"""Writes what `passband predict` needs of one network into a folder: weights, study, parts."""

from pathlib import Path

import yaml

from passband.learning.network_files import Network
from passband.parts import FOLDER
from passband.results import published
from passband.storage import weights


def write(network: Network, folder: Path) -> list[str]:
    """Write the files of a network into a folder, and return their names.

    The code of an architecture and of a head of the study's own is copied; without it, only an ONNX
    file could be used. Passband runs it only if its user trusts it.
    """
    _write_weights(network, folder / published.WEIGHTS)
    _write_study(network, folder / published.STUDY)
    architecture = network.architecture
    files = {*architecture.part.files, *(architecture.head.files if architecture.head else ())}
    parts = sorted(files)
    if parts:
        (folder / FOLDER).mkdir()
    for file in parts:
        (folder / FOLDER / file.name).write_bytes(file.read_bytes())
    return [published.WEIGHTS, published.STUDY, *(f"{FOLDER}/{file.name}" for file in parts)]


def _write_weights(network: Network, path: Path) -> None:
    """Write the weights of one replica in the format of a study's weights files."""
    replica = network.replica
    values = network.metadata.to_values()
    values["best"] = {str(replica): values["best"][str(replica)]}
    values["history"] = [row for row in values["history"] if row["replica"] == replica]
    own = weights.WeightsMetadata.from_values(values)
    weights.save({replica: network.module.state_dict()}, path, own)
    path.chmod(0o644)  # safetensors writes a file that only its owner may read


def _write_study(network: Network, path: Path) -> None:
    text = yaml.safe_dump(network.study.written(), sort_keys=False, allow_unicode=True)
    path.write_text(
        f"# The configuration of the study in which {network.id} was trained.\n\n{text}",
        encoding="utf-8",
    )
