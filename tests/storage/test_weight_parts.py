"""Files with the networks of several training conditions."""

import errno
import os
from dataclasses import replace

import numpy as np
import pytest
from safetensors import SafetensorError
from synthetic import weights_metadata

from passband.groups import group_name
from passband.storage import DamagedError, weights
from passband.storage.weight_parts import Part, conditions_in, load_parts, save_parts

VALUES = {"a": 1.25, "b": -3.5}


@pytest.fixture
def parts():
    return {
        id: Part(
            {replica: {"w": np.full(3, value + replica)} for replica in (0, 7)},
            weights_metadata((0, 7), condition=id, context=f"context of {id}"),
        )
        for id, value in VALUES.items()
    }


@pytest.fixture
def path(tmp_path, parts):
    path = tmp_path / "net.safetensors"
    save_parts(parts, path, {"study": "smallest"})
    return path


def values(part):
    return {replica: state["w"].tolist() for replica, state in part.weights.items()}


def test_parts_come_back(path, parts):
    found = load_parts(path)
    assert list(found) == list(parts)
    for id, part in parts.items():
        assert values(found[id]) == values(part)
        assert found[id].metadata == replace(part.metadata, provenance={"study": "smallest"})


def test_one_condition_is_chosen_by_its_id(path):
    for expected, id in ((None, "a"), ({"condition": "b"}, "b")):
        state, metadata = weights.load(path, expected)
        assert metadata.condition == id
        assert state[7]["w"].tolist() == [VALUES[id] + 7] * 3
    with pytest.raises(DamagedError, match="its networks were not trained under c;"):
        weights.load(path, {"condition": "c"})


def test_the_group_of_a_file_says_whether_it_is_opened(path, tmp_path):
    several = group_name(["a", "b"])
    assert conditions_in(path, several) == ["a", "b"]
    assert conditions_in(tmp_path / "missing", several) == []
    assert conditions_in(tmp_path / "missing", "a") == ["a"]


def test_undamaged_parts_of_a_damaged_file_are_returned_if_asked(path):
    content, bits = path.read_bytes(), np.float64(VALUES["b"] + 7).tobytes()
    assert content.count(bits) == 3
    path.write_bytes(content.replace(bits, np.float64(4.5).tobytes(), 1))
    with pytest.raises(DamagedError, match="its checksum does not match its content"):
        load_parts(path)
    assert list(load_parts(path, damaged=True)) == ["a"]


def test_the_declared_checksum_is_read_without_the_tensors(path, parts, tmp_path):
    other = tmp_path / "other.safetensors"
    assert weights.checksum(other) is None
    save_parts(parts, other, {"study": "smallest"})
    assert weights.checksum(other) == weights.checksum(path) is not None
    save_parts({"a": parts["b"], "b": parts["a"]}, other, {"study": "smallest"})
    assert weights.checksum(other) != weights.checksum(path)


@pytest.mark.parametrize("text", ["I/O error: No space left (os error {})", "(os code: {})"])
def test_an_error_of_the_disk_keeps_its_number(parts, tmp_path, monkeypatch, text):
    """Safetensors has the number only in its message. Other errors remain as they are."""

    def save_file(*_):
        raise SafetensorError(text.format(number))

    monkeypatch.setattr("safetensors.numpy.save_file", save_file)
    for number in (errno.EROFS, "?"):
        with pytest.raises((OSError, SafetensorError)) as caught:
            weights.write({"w": np.zeros(1)}, tmp_path / "net.safetensors", {})
        if number == "?":
            assert caught.type is SafetensorError
        else:
            assert (caught.value.errno, caught.value.strerror) == (number, os.strerror(number))
