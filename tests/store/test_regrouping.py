"""Exit waves and networks of earlier jobs are found, also while other jobs write theirs."""

from pathlib import Path

import numpy as np
import open_files
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import weights_metadata

from passband.cache import regrouping
from passband.cache.identities import NetworkContexts
from passband.cache.regrouping import NetworkJob, Shard
from passband.storage import UnreachableError, datasets
from passband.storage.weights import Part, save_parts

VALUES = ("4", 1, "gold", "train")


def waves(structures):
    """Return a data set with a number for each structure, in the place of exit waves."""
    numbers = np.arange(structures.start, structures.stop)
    return xr.Dataset({"particles": ("structure", 10 * numbers)}, {"structure": numbers})


def write(shard):
    """Write the shard as a `simulate` job does."""
    shard.keep_others()
    attrs = {"context": shard.context()}
    datasets.write(waves(shard.structures), shard.own, datasets.WAVES, attrs, {"structure": 1})


def shard(folder, start, size):
    """Return the shard of this size that begins at a structure."""
    own = folder / f"{start // size:05d}.zarr.zip"
    return Shard(own, VALUES, range(start, start + size))


def numbers(parts):
    """Return the structures of the parts, in order, after a look at their values."""
    for part in parts:
        np.testing.assert_array_equal(part.particles, 10 * part.structure)
    return sorted(index for part in parts for index in part.structure.values.tolist())


@settings(max_examples=25)
@given(st.integers(1, 7), st.integers(1, 7), st.integers(1, 4))
def test_every_structure_is_found_once_in_shards_of_another_size(tmp_path_factory, old, new, files):
    folder = tmp_path_factory.mktemp("waves")
    for number in range(files):
        write(shard(folder, number * old, old))
    wanted = shard(folder, 0, new)
    assert numbers(wanted.find()) == list(range(min(new, files * old)))


def test_the_files_of_other_values_are_left_out(tmp_path):
    write(shard(tmp_path, 0, 4))
    other = Shard(tmp_path / "00000.zarr.zip", ("5", *VALUES[1:]), range(4))
    assert other.find() == []


@pytest.mark.parametrize("moment", ["after the look", "after the read"])
def test_a_file_that_another_job_replaces_meanwhile(tmp_path, monkeypatch, moment):
    """Job 1 of shards of five replaces the file with structures 4 to 7, while job 2 reads it."""
    write(shard(tmp_path, 4, 4))
    write(shard(tmp_path, 8, 4))
    write(shard(tmp_path, 12, 4))
    other, replaced, read = shard(tmp_path, 5, 5), [], datasets.read

    def reading(path, kind):
        if path != other.own or replaced:
            return read(path, kind)
        replaced.append(path)
        if moment == "after the look":
            write(other)
            return read(path, kind)
        found = read(path, kind)
        write(other)
        return found

    monkeypatch.setattr(datasets, "read", reading)
    wanted = Shard(tmp_path / "00009.zarr.zip", VALUES, range(4, 9))
    found = wanted.find()
    assert replaced
    assert numbers(found) == [4, 5, 6, 7, 8]


def test_exit_waves_that_cannot_be_read_now_are_not_made_again(tmp_path):
    write(shard(tmp_path, 0, 4))
    with open_files.too_many(), pytest.raises(UnreachableError, match="Too many open files"):
        shard(tmp_path, 0, 2).find()
    with open_files.too_many(), pytest.raises(UnreachableError, match="Too many open files"):
        shard(tmp_path, 0, 4).keep_others()


def test_networks_that_cannot_be_read_now_are_not_trained_again(tmp_path):
    contexts = NetworkContexts("gold", "net", {"a": "1"}, {}, {}, 1, {"a": []}, "auto")
    metadata = weights_metadata(context=contexts.context("a", [0]), architecture="net")
    own = tmp_path / "networks/gold/net/a/r000-000.safetensors"
    save_parts({"a": Part({0: {"weight": np.zeros(1)}}, metadata)}, own, {})
    job = NetworkJob(own, contexts, "a", [0])
    assert [part.weights.keys() for part in job.find()["a"]]
    for look in (job.find, job.whole):
        with open_files.too_many(), pytest.raises(UnreachableError, match="Too many open files"):
            look()
        assert look()


@pytest.mark.parametrize("other", ["nothing", "settings", "precision"])
def test_only_networks_that_this_study_would_train_are_found(tmp_path, other):
    """A second file has the missing replica, but is left out if it differs in `other`.

    It also has another network of the first replica, which is not needed.
    """
    contexts = NetworkContexts("gold", "net", {"a": "1"}, {}, {}, 1, {"a": []}, "auto")
    own, later = (tmp_path / f"networks/gold/net/a/r000-{i:03d}.safetensors" for i in (0, 1))
    for path, replicas in ((own, [0]), (later, [0, 1])):
        changed = other if path == later else "nothing"
        settings = {"steps": 2} if changed == "settings" else {}
        metadata = weights_metadata(
            replicas,
            architecture="net",
            context=contexts.context("a", replicas, settings | {"replicas_together": "auto"}),
            precision="bfloat16" if changed == "precision" else "float32",
        )
        states = {i: {"weight": np.full(1, 10 * len(replicas) + i)} for i in replicas}
        save_parts({"a": Part(states, metadata)}, path, {})
    job = NetworkJob(own, contexts, "a", [0, 1])
    joined = job.joined("a", job.find()["a"]).weights
    expected = {0: 10} | ({1: 21} if other == "nothing" else {})
    assert {i: int(state["weight"][0]) for i, state in joined.items()} == expected


def test_a_file_of_two_conditions_gives_only_the_networks_that_are_missing(tmp_path):
    contexts = NetworkContexts("gold", "net", {"a": "1", "b": "1"}, {}, {}, 1, {"a": [], "b": []})
    own = tmp_path / "networks/gold/net/a/r000-000.safetensors"
    for path, conditions in ((own, "a"), (own.parents[1] / "a~b~1234" / own.name, "ab")):
        parts = {
            id: Part(
                {0: {"weight": np.zeros(1)}},
                weights_metadata(
                    architecture="net", condition=id, context=contexts.context(id, [0])
                ),
            )
            for id in conditions
        }
        save_parts(parts, path, {})
    found = NetworkJob(own, contexts, "ab", [0]).find()
    assert {id: len(parts) for id, parts in found.items()} == {"a": 1, "b": 1}


def test_a_folder_that_another_job_removes_does_not_end_the_search(tmp_path, monkeypatch):
    own = tmp_path / "networks/gold/net/a~b~1234/r000-001.safetensors"
    for group in ("a", "b"):
        (own.parents[1] / group).mkdir(parents=True)
        (own.parents[1] / group / "r000-000.safetensors").touch()
    real = Path.iterdir

    def removed(folder):
        if folder.name == "a":
            raise FileNotFoundError(folder)
        return real(folder)

    monkeypatch.setattr(Path, "iterdir", removed)
    missing = {"a": {0, 1}, "b": {0, 1}}
    found = own.parents[1] / "b/r000-000.safetensors"
    assert list(regrouping.files(own, missing)) == [own, found]
