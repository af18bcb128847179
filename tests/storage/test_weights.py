"""Files of network weights and their metadata."""

import errno
import json
import os
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from synthetic import weights_metadata

from passband.groups import group_name
from passband.learning import networks
from passband.seeds import digest
from passband.storage import DamagedError, NewerError, StoreError, integrity
from passband.storage import weights as files
from passband.storage.weights import CellWeights, EpochRecord, conditions_in, load_cells, save_cells

NAME = "compact-w4-d2"


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.fixture
def weights():
    return {r: networks.build(NAME, seed=r).state_dict() for r in (0, 3)}


def test_weights_and_metadata_come_back(tmp_path, weights):
    path = tmp_path / "deep" / "net.safetensors"
    metadata = weights_metadata((0, 3), vectorized=True)
    files.save(weights, path, metadata)
    loaded, found = files.load(path)
    assert found == metadata
    assert list(loaded) == [0, 3]
    assert all(same(loaded[r], weights[r]) for r in weights)
    assert [p.name for p in path.parent.iterdir()] == ["net.safetensors"]


def test_replicas_come_back_in_the_order_of_numbers(tmp_path):
    """Safetensors sorts keys as strings, so that the key 10 is before the key 9."""
    path = tmp_path / "net.safetensors"
    files.save({r: {"a": torch.tensor([r])} for r in range(7, 14)}, path, weights_metadata())
    loaded, _ = files.load(path)
    assert list(loaded) == list(range(7, 14))
    assert [int(state["a"]) for state in loaded.values()] == list(range(7, 14))


def test_file_is_plain_safetensors(tmp_path, weights):
    path = tmp_path / "net.safetensors"
    files.save(weights, path, weights_metadata((0, 3)))
    row = (
        '"epoch": 0, "learning_rate": 0.001, "train_loss": 1.25, "val_loss": 1.5, '
        '"val_dice": 0.75, "seconds": 2.0}'
    )
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        assert metadata.pop("checksum")
        assert metadata == {
            "architecture": '"compact-w4-d2"',
            "specimen": '"gold"',
            "condition": '"a"',
            "normalisation": '"zscore"',
            "precision": '"float32"',
            "device": '"cpu (AVX2)"',
            "recipe_digest": '"x"',
            "networks": json.dumps(
                {"a": CellWeights(weights, weights_metadata((0, 3))).identities}
            ),
            "best": f'{{"0": {{{row}, "3": {{{row}}}',
            "history": f'[{{"replica": 0, {row}, {{"replica": 3, {row}]',
            "vectorized": "false",
            "study": '"smallest"',
            "passband_version": '"0.1.0"',
            "format": "2",
        }
        assert torch.equal(file.get_tensor("3/head.bias"), weights[3]["head.bias"])


def test_channels_last_weights_come_back(tmp_path):
    network = networks.build(NAME).to(memory_format=torch.channels_last)
    path = tmp_path / "net.safetensors"
    files.save({0: network.state_dict()}, path, weights_metadata())
    assert same(files.load(path)[0][0], network.state_dict())


def test_failed_save_leaves_what_was_there(tmp_path, weights):
    path = tmp_path / "net.safetensors"
    files.save(weights, path, weights_metadata())
    with pytest.raises(TypeError, match="not JSON serializable"):
        files.save(weights, path, weights_metadata(provenance={"bad": object()}))
    assert same(files.load(path)[0][0], weights[0])
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("damage", ["truncated", "header", "garbage", "empty", "folder", "missing"])
def test_file_that_is_no_whole_file_of_weights_is_named_in_one_line(tmp_path, weights, damage):
    path = tmp_path / "net.safetensors"
    files.save(weights, path, weights_metadata())
    data = path.read_bytes()
    path.unlink()
    match damage:
        case "truncated":
            path.write_bytes(data[:-10])
        case "header":
            path.write_bytes(data[:20])
        case "garbage":
            path.write_bytes(b"these are not weights\n" * 100)
        case "empty":
            path.touch()
        case "folder":
            path.mkdir()
    with pytest.raises(StoreError, match=re.escape(str(path))) as caught:
        files.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("tensors", "metadata"),
    [({"head.weight": torch.zeros(1)}, {}), ({"0/a": torch.zeros(1)}, {"format": "pt"})],
    ids=["keys", "metadata"],
)
def test_foreign_safetensors_file_is_named(tmp_path, tensors, metadata):
    path = tmp_path / "foreign.safetensors"
    save_file(tensors, path, metadata)
    with pytest.raises(StoreError, match=re.escape(str(path))):
        files.load(path)


@pytest.mark.parametrize("key", ["²/head.bias", "²", "0²/head.bias", "0/head.bias²"])
def test_a_key_that_is_no_tensor_of_the_network_is_named(tmp_path, weights, key):
    """The files have correct checksums. Python accepts ² as a digit, but not as a number."""
    path = tmp_path / "net.safetensors"
    tensors = {f"0/{name}": tensor for name, tensor in weights[0].items()}
    tensors[key] = tensors.pop("0/head.bias").clone()
    files.write(tensors, path, weights_metadata().to_values())
    with pytest.raises(DamagedError, match=re.escape(f"{path}: not a file of weights: ")):
        networks.load(path)


def test_a_file_without_tensors_is_named(tmp_path):
    path = tmp_path / "net.safetensors"
    files.write({}, path, {"recipe": "x"})
    with pytest.raises(DamagedError, match="it has no tensors"):
        files.load(path)


def test_a_newer_format_is_refused_and_nothing_is_compared_with_the_version(
    tmp_path, weights, monkeypatch
):
    path = tmp_path / "net.safetensors"
    with monkeypatch.context() as patch:
        patch.setattr(files, "FORMAT", 3)
        files.save(weights, path, weights_metadata())
    written = path.read_bytes()
    for look in (files.load, load_cells):
        with pytest.raises(NewerError, match=re.escape(f"{path}: its format is 3, and this")):
            look(path)
    assert path.read_bytes() == written
    files.save(weights, path, weights_metadata(provenance={"passband_version": "99.0"}))
    assert same(files.load(path)[0][0], weights[0])


def test_weights_of_0_2_are_named_in_one_line(tmp_path, weights, monkeypatch):
    path = tmp_path / "net.safetensors"
    with monkeypatch.context() as patch:
        patch.setattr(files, "FORMAT", integrity.OF_02)
        files.save(weights, path, weights_metadata())
    for look in (files.load, load_cells):
        with pytest.raises(StoreError) as refused:
            look(path)
        assert str(refused.value) == f"{path}: made by Passband 0.2: run it again, or use 0.2"


def test_a_file_without_a_format_is_refused(tmp_path, weights):
    path = tmp_path / "net.safetensors"
    tensors = {"0/head.bias": weights[0]["head.bias"]}
    texts = {name: json.dumps(value) for name, value in weights_metadata().to_values().items()}
    save_file(tensors, path, texts | {"checksum": digest(texts, files.fingerprint({0: tensors}))})
    with pytest.raises(DamagedError, match="it has no format: Passband did not write it"):
        files.load(path)


# Fingerprint


def test_file_of_other_networks_is_refused(tmp_path, weights):
    path = tmp_path / "net.safetensors"
    files.save(weights, path, weights_metadata())
    assert files.load(path, {"condition": "a"})[1].condition == "a"
    with pytest.raises(DamagedError, match=f"{path}: its networks were not trained under b;"):
        files.load(path, {"condition": "b"})


@pytest.mark.parametrize("what", ["weights", "metadata"])
def test_a_flipped_bit_is_refused(tmp_path, weights, what):
    """safetensors itself does not check the values of tensors."""
    path = tmp_path / "net.safetensors"
    files.save(weights, path, weights_metadata())
    whole = bytearray(path.read_bytes())
    whole[-1 if what == "weights" else whole.index(b'\\"a\\"') + 2] ^= 1
    path.write_bytes(whole)
    load_file(path)
    with pytest.raises(DamagedError, match="not a whole file of weights: its checksum"):
        files.load(path)


def test_fingerprint_survives_the_disk(tmp_path, weights):
    path = tmp_path / "net.safetensors"
    files.save(weights, path, weights_metadata())
    assert files.fingerprint(files.load(path)[0]) == files.fingerprint(weights)


def test_fingerprint_changes_with_a_value_a_name_and_a_replica(weights):
    changed = {r: {k: v.clone() for k, v in state.items()} for r, state in weights.items()}
    assert files.fingerprint(changed) == files.fingerprint(weights)
    changed[3]["head.bias"] += 1e-6
    renamed = {0: weights[0], 4: weights[3]}
    swapped = {0: weights[3], 3: weights[0]}
    fewer = {0: weights[0]}
    all_of_them = [weights, changed, renamed, swapped, fewer]
    assert len({files.fingerprint(w) for w in all_of_them}) == 5


# Metadata


def test_metadata_come_back_from_json():
    """The numbers of replicas are numbers in the code, and strings in the file."""
    records = tuple(EpochRecord(epoch, 0.1, 1.0, 2.0 - epoch, 0.5, 3.0) for epoch in range(2))
    metadata = weights_metadata(best={12: records[1]}, history={12: records})
    values = json.loads(json.dumps(metadata.to_values()))
    assert values["best"]["12"]["epoch"] == 1
    assert [row["replica"] for row in values["history"]] == [12, 12]
    assert files.WeightsMetadata.from_values(values) == metadata
    assert [row["val_loss"] for row in metadata.history_rows()] == [2.0, 1.0]


@pytest.mark.parametrize("name", ["condition", "history", "best", "vectorized", "recipe_digest"])
def test_metadata_without_a_value_are_named(tmp_path, weights, name):
    path = tmp_path / "net.safetensors"
    values = weights_metadata().to_values()
    del values[name]
    tensors = {f"0/{key}": tensor for key, tensor in weights[0].items()}
    files.write(tensors, path, values)
    with pytest.raises(DamagedError, match=f"{path}: not a file of weights: .* no '{name}'"):
        files.load(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [("best", [1]), ("best", {"0": 1}), ("history", [{"replica": 0}]), ("history", 3)],
)
def test_metadata_of_another_kind_are_named(name, value):
    values = weights_metadata().to_values() | {name: value}
    with pytest.raises(ValueError, match="do not describe weights"):
        files.WeightsMetadata.from_values(values)


@pytest.mark.parametrize("name", ["specimen", "condition", "device"])
def test_a_name_that_would_change_the_terminal_is_refused(name):
    values = weights_metadata().to_values() | {name: "\x1b[2Jgold"}
    with pytest.raises(ValueError, match=rf"^its {name} is '\\x1b\[2Jgold'$"):
        files.WeightsMetadata.from_values(values)


def test_the_module_is_imported_without_torch():
    code = "import sys, passband.storage.weights; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# Several training conditions

VALUES = {"a": 1.25, "b": -3.5}


@pytest.fixture
def cells():
    return {
        id: CellWeights(
            {replica: {"w": np.full(3, value + replica)} for replica in (0, 7)},
            weights_metadata((0, 7), condition=id, recipe_digest=f"recipe of {id}"),
        )
        for id, value in VALUES.items()
    }


@pytest.fixture
def path(tmp_path, cells):
    path = tmp_path / "net.safetensors"
    save_cells(cells, path, {"study": "smallest"})
    return path


def values(cell):
    return {replica: state["w"].tolist() for replica, state in cell.weights.items()}


def test_cells_come_back(path, cells):
    found = load_cells(path)
    assert list(found) == list(cells)
    for id, cell in cells.items():
        assert values(found[id]) == values(cell)
        assert found[id].metadata == replace(cell.metadata, provenance={"study": "smallest"})


def test_one_condition_is_chosen_by_its_id(path):
    for expected, id in ((None, "a"), ({"condition": "b"}, "b")):
        state, metadata = files.load(path, expected)
        assert metadata.condition == id
        assert state[7]["w"].tolist() == [VALUES[id] + 7] * 3
    with pytest.raises(DamagedError, match="its networks were not trained under c;"):
        files.load(path, {"condition": "c"})


def test_the_group_of_a_file_says_whether_it_is_opened(path, tmp_path):
    several = group_name(["a", "b"])
    assert conditions_in(path, several) == ["a", "b"]
    assert conditions_in(tmp_path / "missing", several) == []
    assert conditions_in(tmp_path / "missing", "a") == ["a"]


def test_the_head_has_the_recipes_of_one_cell_and_of_several(path, tmp_path, weights):
    assert files.recipes_in(path) == {"a": "recipe of a", "b": "recipe of b"}
    alone = tmp_path / "alone.safetensors"
    metadata = weights_metadata((0, 3), recipe_digest="x")
    files.save(weights, alone, metadata)
    assert files.recipes_in(alone) == {metadata.condition: "x"}
    alone.write_bytes(b"torn")
    assert files.recipes_in(alone) == files.recipes_in(tmp_path / "missing") == {}


@pytest.mark.parametrize("given", [3, [], ["a"], {"a": 3}])
def test_a_head_of_another_kind_has_no_recipes(tmp_path, given):
    path = tmp_path / "net.safetensors"
    files.write({"w": np.zeros(1)}, path, weights_metadata().to_values() | {"parts": given})
    assert files.recipes_in(path) == {}


def test_a_flipped_bit_in_one_of_several_cells_is_refused(path):
    content, bits = path.read_bytes(), np.float64(VALUES["b"] + 7).tobytes()
    assert content.count(bits) == 3
    path.write_bytes(content.replace(bits, np.float64(4.5).tobytes(), 1))
    with pytest.raises(DamagedError, match="its checksum does not match its content"):
        load_cells(path)


@pytest.mark.parametrize("given", [3, [], ["a"], {"a": 3}, {"c": {}}, {}])
def test_cells_of_another_kind_are_named(tmp_path, given):
    path, tensors = tmp_path / "net.safetensors", {"a/0/w": np.zeros(1)}
    files.write(tensors, path, weights_metadata().to_values() | {"parts": given})
    with pytest.raises(DamagedError, match=re.escape(f"{path}: ")):
        files.load(path)


def test_identities_of_networks_are_read_without_the_tensors(path, cells, tmp_path, monkeypatch):
    found = {id: cell.identities for id, cell in cells.items()}
    assert len({identity for of_id in found.values() for identity in of_id.values()}) == 4
    with monkeypatch.context() as patch:
        patch.setattr(files, "load_cells", None)
        assert files.identities(path) == found
    assert {id: cell.identities for id, cell in load_cells(path).items()} == found
    assert files.identities(tmp_path / "other.safetensors") == {}


@pytest.mark.parametrize("name", ["architecture", "normalisation", "precision"])
def test_the_same_weights_in_another_network_are_another_network(cells, name):
    cell = cells["a"]
    other = cell._replace(metadata=replace(cell.metadata, **{name: "other"}))
    assert not {*cell.identities.values()} & {*other.identities.values()}
    assert cell._replace(metadata=replace(cell.metadata, device="x")).identities == cell.identities


@pytest.mark.parametrize("text", ["I/O error: No space left (os error {})", "(os code: {})"])
def test_an_error_of_the_disk_keeps_its_number(cells, tmp_path, monkeypatch, text):
    """Safetensors has the number only in its message. Other errors remain as they are."""

    def save_file(*_):
        raise SafetensorError(text.format(number))

    monkeypatch.setattr("safetensors.numpy.save_file", save_file)
    for number in (errno.EROFS, "?"):
        with pytest.raises((OSError, SafetensorError)) as caught:
            files.write({"w": np.zeros(1)}, tmp_path / "net.safetensors", {})
        if number == "?":
            assert caught.type is SafetensorError
        else:
            assert (caught.value.errno, caught.value.strerror) == (number, os.strerror(number))
