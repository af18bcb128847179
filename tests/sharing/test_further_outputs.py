"""What is published of a head: the names and the meaning of its outputs, and its code."""

import json
import shutil
from pathlib import Path

import pytest
from synthetic import weights_metadata

from passband.config import validate
from passband.config.architectures import parse
from passband.learning import network_folder, networks
from passband.learning.network_files import Network
from passband.sharing import card
from passband.sharing.further_outputs import of_architecture

BLOBS = Path(__file__).parents[2] / "examples/parts/blobs.py"


@pytest.fixture
def own(tmp_path):
    """A network of a study whose head is a part of its own."""
    name = "compact-w4-d2+blobs"
    (tmp_path / "parts").mkdir()
    shutil.copy(BLOBS, tmp_path / "parts")
    study = validate({"training": {"architectures": [name]}}, str(tmp_path / "config.yaml"))
    study.known_parts.trust()
    configuration = json.dumps(study.model_dump(mode="json"))
    return Network(
        networks.build(study.training.architecture(name)).eval(),
        replica=0,
        metadata=weights_metadata(architecture=name, provenance={"configuration": configuration}),
        microscope=study.microscope,
        condition=study.train_conditions[0],
        path=tmp_path / "a.safetensors",
        parts=study.known_parts,
    )


def test_outputs_of_the_package_have_names_and_a_meaning():
    found = of_architecture(parse("unet-resnet18+votes"))
    assert found.channels == ("row_offset", "column_offset", "log_diameter")
    assert found.meaning[0].startswith("Each pixel says where its particle's centre is")
    assert "in units of 32 pixels" in found.meaning[1]
    assert found.is_votes
    assert of_architecture(parse("unet-resnet18")) is None


def test_outputs_of_an_own_head_have_numbers_and_its_code_is_copied(own, tmp_path):
    found = of_architecture(own.architecture)
    assert (found.head, found.channels, found.is_votes) == ("blobs", ("output_1",), False)
    assert len(found.meaning) == 1
    (tmp_path / "out").mkdir()
    names = network_folder.write(own, tmp_path / "out")
    assert "parts/blobs.py" in names
    assert (tmp_path / "out/parts/blobs.py").read_bytes() == BLOBS.read_bytes()
    code = card.example_code(own)
    assert "probability, particles = session.run" in code
    assert "votes" not in code
