"""Files that 0.2 wrote are read as if this version had written them."""

import json
import tarfile
from pathlib import Path

import pytest
from low_dose import extract
from safetensors import safe_open

from passband.storage import DamagedError, version_02, weights

DATA = Path(__file__).parents[1] / "data"


def members(archive, suffix):
    """Return the contents of the files of an archive whose names end with a suffix."""
    with tarfile.open(DATA / f"{archive}.tar.xz") as opened:
        return [opened.extractfile(m).read() for m in opened if m.name.endswith(suffix)]


def values_in(path):
    with safe_open(path, framework="numpy") as file:
        return {
            name: json.loads(text)
            for name, text in file.metadata().items()
            if name not in ("checksum", "format")
        }


@pytest.mark.parametrize("archive", ["finished", "grouped"])
def test_weights_of_02_are_written_again_with_two_other_names(tmp_path, archive):
    before, after = tmp_path / "before.safetensors", tmp_path / "after.safetensors"
    contents = members(archive, ".safetensors")
    for content in contents:
        before.write_bytes(content)
        parts = weights.load_parts(before)
        first, *_ = parts.values()
        weights.save_parts(parts, after, first.metadata.provenance)
        old, new = values_in(before), values_in(after)
        for values in old.get("parts", {"": old}).values():
            values.pop("checksum", None)  # of each part of several
            values["vectorized"] = values.pop("stacked")
            values["recipe_digest"] = values.pop("context")
        assert old == new
        again = weights.load_parts(after)
        for id, part in parts.items():
            assert again[id].metadata == part.metadata
            assert weights.fingerprint(again[id].weights) == weights.fingerprint(part.weights)
    assert len(contents) >= 8


def test_the_old_name_is_none_of_this_format(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(members("finished", ".safetensors")[0])
    tensors, values = weights.read(path, "numpy")
    weights.write(tensors, path, values)
    assert len(weights.load_parts(path)) == 1
    values["stacked"] = values.pop("vectorized")
    weights.write(tensors, path, values)
    with pytest.raises(DamagedError, match="its metadata have no 'vectorized'"):
        weights.load_parts(path)


def test_a_likeness_without_checksum_is_read_and_flags_no_uneven_background(tmp_path):
    path = extract(tmp_path) / "likeness.json"
    assert "checksum" not in json.loads(path.read_text())
    content = version_02.likeness(path)
    assert content["limits"].pop("evenness") == 0.0
    assert content == json.loads(path.read_text())


@pytest.mark.parametrize("text", ["[]", '{"checksum": 1}', "{"])
def test_a_likeness_that_is_none_is_refused(tmp_path, text):
    path = tmp_path / "likeness.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"no JSON object|does not match|Expecting"):
        version_02.likeness(path)
