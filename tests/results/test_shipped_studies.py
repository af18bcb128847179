"""Ids, groups and files of all shipped studies are those of earlier versions, in the same order."""

import json
from pathlib import Path

import pytest

from passband.config import Study, load
from passband.results import network_batches, wave_layout
from passband.results.layout import RECORD
from passband.seeds import digest

ROOT = Path(__file__).parents[2]
#: For each study, the number and the digest of each list of :func:`lists`.
KNOWN = ROOT / "tests/data/studies.json"


def lists(study: Study) -> dict[str, list]:
    """Return what names the results of a study, in the order of the study."""
    batches = list(network_batches.batches_of(study))
    return {
        "train": [condition.id for condition in study.train_conditions],
        "test": [condition.id for condition in study.test_conditions],
        "mixtures": [mixture.id for mixture in study.mixtures],
        "groups": list(network_batches.groups_of(study)),
        "records": [batch.path(RECORD) for batch in batches],
        "replicas": [batch.replicas for batch in batches],
        "waves": [
            path
            for specimen in study.specimens
            for split, sets in (("train", study.train_waves), ("test", study.test_waves))
            for path in wave_layout.shards(study, specimen, split, sets)
        ],
    }


def summary(study: Study) -> dict[str, list]:
    return {name: [len(found), digest(found)] for name, found in lists(study).items()}


def all_studies() -> list[Path]:
    folders = "studies", "findings/rings/studies"
    found = [file for folder in folders for file in (ROOT / folder).glob("*.yaml")]
    return [ROOT / "config.yaml", *sorted(found, key=lambda file: file.name)]


def test_the_tests_smallest_study_differs_from_the_shipped_one_in_its_training_alone():
    shipped, own = (load(ROOT / folder / "smallest.yaml") for folder in ("studies", "tests/data"))
    assert (shipped.steps, own.steps) == (60, 6)
    changed = {"epochs": own.training.epochs, "learning_rate": own.training.learning_rate}
    training = shipped.written()["training"] | changed
    assert shipped.written() | {"training": training} == own.written()


@pytest.mark.slow
@pytest.mark.parametrize("file", all_studies(), ids=lambda file: file.stem)
def test_names_of_results_are_those_of_earlier_versions(file):
    """If this fails, finished studies would be trained again. Add the line of a new study only."""
    assert summary(load(file)) == json.loads(KNOWN.read_text())[file.name]


if __name__ == "__main__":
    content = {file.name: summary(load(file)) for file in all_studies()}
    lines = (f"  {json.dumps(name)}: {json.dumps(found)}" for name, found in content.items())
    KNOWN.write_text("{\n" + ",\n".join(lines) + "\n}\n")
