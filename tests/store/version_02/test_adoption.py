"""Exit waves and networks that Passband 0.2 made are taken over into the store."""

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import of_0_2
import pytest
import yaml

from passband.config import Study, load
from passband.grid import Condition
from passband.results import Results, earlier, layout, network_batches
from passband.storage import StoreError, atomic, datasets, records
from passband.storage.weights import load_cells, save_cells
from passband.store.networks import StoredNetworks
from passband.store.results import StoredResults
from passband.store.version_02 import adopted, formulas
from passband.store.version_02.adoption import Adoption
from passband.store.waves import StoredWaves

pytestmark = pytest.mark.slow


@pytest.fixture(params=["finished", "grouped"])
def results(request, tmp_path) -> Results:
    """Each of the finished studies in tests/data, which 0.2 made."""
    folder = of_0_2.unpack(tmp_path, request.param)
    return Results(load(tmp_path / "study.yaml"), folder)


@pytest.fixture
def smallest(tmp_path) -> Results:
    """The finished study with four files of exit waves, and with two networks in each of four."""
    folder = of_0_2.unpack(tmp_path)
    return Results(load(tmp_path / "study.yaml"), folder)


def changed(results: Results, **blocks: dict) -> Results:
    """Return the results with a study in which keys of some blocks are different."""
    content = yaml.safe_load((results.folder.parents[1] / "study.yaml").read_text())
    for name, keys in blocks.items():
        content[name] = content.get(name, {}) | keys
    return Results(Study.model_validate(content), results.folder)


def lacking(results: Results) -> tuple[int, int]:
    """Return how many structures and networks jobs of the study would not find in its store."""
    study = results.study
    structures = 0
    for specimen, of_study in study.specimens.items():
        for split in of_study.splits:
            number = getattr(study.study.structures, split)
            for id in study.waves(specimen, split):
                stored = StoredWaves.of(results, specimen, split, id)
                found = stored.find(range(number))
                structures += number - sum(waves.sizes["structure"] for waves in found)
    networks = 0
    for batch in network_batches.batches_of(study):
        found = StoredNetworks(results, batch).find()
        networks += batch.networks - sum(len(p.weights) for cells in found.values() for p in cells)
    return structures, networks


def test_a_finished_study_lacks_nothing_and_keeps_all_that_0_2_made(results):
    before = of_0_2.content(results.folder)
    found = Adoption(results)
    assert of_0_2.content(results.folder) == before
    assert not found.left
    assert sum(file.number for file in found.networks) == len(
        [id for batch in network_batches.batches_of(results.study) for id in batch.conditions] * 2
    )
    found.take()
    assert not earlier.is_earlier(results.folder)
    assert sorted(path.name for path in results.folder.iterdir()) == [earlier.KEPT, layout.STORE]
    assert of_0_2.content(results.folder / earlier.KEPT) == before
    assert lacking(results) == (0, 0)
    for batch in network_batches.batches_of(results.study):
        networks = StoredNetworks(results, batch).whole()
        tested = StoredResults.of_batch(results, batch, networks).whole()
        old = records.read_all(results.folder / earlier.KEPT / batch.path(layout.RECORD))
        for id, record in tested.items():
            np.testing.assert_array_equal(record.counts, old[id].counts)
    for file in (*found.waves, *found.networks):
        kept = results.folder / earlier.KEPT / file.path.relative_to(results.folder)
        assert file.target.samefile(kept)
    # Jobs of another size find everything too.
    sizes = {"replicas_per_job": 1, "structures_per_shard": 5, "conditions_per_job": 3}
    study = results.study.model_dump()
    study["study"] |= sizes
    assert lacking(Results(Study.model_validate(study), results.folder)) == (0, 0)


@pytest.mark.parametrize(
    ("blocks", "numbers"),
    [
        ({}, (4, 8)),
        ({"training": {"epochs": 3}}, (4, 0)),
        ({"training": {"architectures": ["compact-w4-d2"], "epochs": 2, "augment": False}}, (4, 0)),
        ({"microscope": {"field_px": 64, "pixel_size_A": 0.35, "focal_spread_nm": 4.0}}, (4, 0)),
        ({"microscope": {"field_px": 64, "pixel_size_A": 0.36}}, (0, 0)),
        ({"microscope": {"field_px": 64, "pixel_size_A": 0.35, "engine": "abtem"}}, (0, 0)),
    ],
)
def test_only_what_the_present_study_would_make_is_taken_over(smallest, blocks, numbers):
    if blocks.get("microscope", {}).get("engine"):
        blocks["microscope"]["multislice_pixel_A"] = 0.02
    results = changed(smallest, **blocks)
    found = Adoption(results)
    assert (len(found.waves), sum(file.number for file in found.networks)) == numbers
    assert (sum(found.left.values()) == 0) == (numbers == (4, 8))
    found.take()
    structures, networks = lacking(results)
    assert (structures == 0, networks == 0) == (numbers[0] == 4, numbers[1] == 8)


def test_a_study_that_grew_or_shrank_takes_over_what_it_still_has(smallest):
    grid = {"defocus_nm": [5, 10], "cs_um": [1.2], "aperture_mrad": [16]}
    results = changed(smallest, grid=grid)
    found = Adoption(results)
    assert str(found) == (
        "4 file(s) of exit waves and 4 network(s), 4 of them with results; 4 network(s) are of "
        "training conditions that the study does not have now"
    )
    found.take()
    assert lacking(results) == (0, 4)
    # The others can be taken over later, from the folder to which everything was moved.
    later = Adoption(smallest)
    assert sum(file.number for file in later.networks) == 8
    before = of_0_2.content(smallest.folder / earlier.KEPT)
    later.take()
    assert lacking(smallest) == (0, 0)
    assert of_0_2.content(smallest.folder / earlier.KEPT) == before


def test_without_its_cache_a_folder_has_the_outputs_of_jobs(smallest):
    shutil.rmtree(smallest.folder / earlier.CACHE)
    Adoption(smallest).take()
    assert not earlier.is_earlier(smallest.folder)
    assert lacking(smallest) == (0, 0)


def damage(path: Path) -> None:
    """Change a byte in the middle of a file, under both of its names."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def test_damaged_networks_are_one_line_and_made_again(smallest):
    first, *_ = sorted((smallest.folder / "cache/networks").rglob("*.safetensors"))
    damage(first)
    lines = []
    found = Adoption(smallest, lines.append)
    (line,) = lines
    name = first.relative_to(smallest.folder / "cache")
    assert line.startswith(f"{smallest.folder / name}: not a whole file of weights")
    assert line.endswith("it is left out, and made again")
    found.take()
    assert lacking(smallest) == (0, 2)


def missing_results(results: Results) -> list[set[str]]:
    """Return under which test conditions jobs would test some network of the study, by job."""
    found = []
    for batch in network_batches.batches_of(results.study):
        stored = StoredResults.of_batch(results, batch, StoredNetworks(results, batch).whole())
        pairs = [pair for of_id in stored.find().values() for pair in of_id.missing_pairs]
        found.append({test for _, test in pairs})
    return found


def test_damaged_results_are_one_line_and_made_again(smallest):
    first, *_ = sorted((smallest.folder / "cache/records").rglob("*.zip"))
    damage(first)
    lines = []
    Adoption(smallest, lines.append).take()
    (line,) = lines
    assert "/records/" in line
    assert line.endswith("it is left out, and made again")
    assert lacking(smallest) == (0, 0)
    assert [len(tests) for tests in missing_results(smallest)] == [4, 0, 0, 0]


def test_networks_are_tested_only_under_new_test_conditions(smallest):
    grid = {"defocus_nm": [5, 20], "cs_um": [1.2], "aperture_mrad": [16]}
    results = changed(smallest, test_grid=grid | {"dose_e_per_A2": [200, 500]})
    Adoption(results).take()
    for tests in missing_results(results):
        assert {Condition.parse(id).dose_e_per_A2 for id in tests} == {500}


@pytest.mark.parametrize("path", ["waves/store/train/0.zarr.zip", "networks/store/a/b/0-1.x"])
def test_the_store_is_found_for_a_specimen_of_its_name(tmp_path, path):
    adopted.write(tmp_path / "store", {"of 0.2": "now"})
    assert adopted.current(tmp_path / "store" / path, "of 0.2") == "now"
    assert adopted.current(tmp_path / path, "of 0.2") == "of 0.2"


def test_results_on_an_unknown_kind_of_device_are_made_again(smallest, monkeypatch):
    of = formulas.of_results
    monkeypatch.setattr(
        formulas, "of_results", lambda *of_cell, **given: of(*of_cell, **given | {"device": "GPU"})
    )
    found = Adoption(smallest)
    assert found.records == []
    found.take()
    assert lacking(smallest) == (0, 0)
    assert all(len(tests) == 4 for tests in missing_results(smallest))


def test_a_copy_whose_second_names_are_files_of_their_own_needs_one_of_both(smallest):
    first, *_ = sorted((smallest.folder / "cache/networks").rglob("*.safetensors"))
    other = smallest.folder / first.relative_to(smallest.folder / "cache")
    content = first.read_bytes()
    other.unlink()
    other.write_bytes(content)
    damage(first)
    lines = []
    Adoption(smallest, lines.append).take()
    assert lines == []
    assert lacking(smallest) == (0, 0)


def test_networks_wait_for_exit_waves_that_are_damaged(smallest):
    path = smallest.folder / "cache/waves/gold/val/00000.zarr.zip"
    waves = datasets.read(path, datasets.WAVES)
    damage(path)
    lines = []
    found = Adoption(smallest, lines.append)
    assert len(lines) == 1
    assert "val/00000.zarr.zip: " in lines[0]
    assert (len(found.waves), len(found.networks), found.lacks_waves) == (3, 0, True)
    found.take()
    assert lacking(smallest) == (4, 8)
    # A job of this version makes the exit waves again.
    stored = StoredWaves.of(smallest, "gold", "val")
    stored.put(range(4), [waves], {})
    found = Adoption(smallest)
    assert not found.lacks_waves
    found.take()
    assert lacking(smallest) == (0, 0)


@pytest.mark.parametrize(
    ("of", "name"), [(atomic, "link"), (adopted, "write"), (earlier, "rename")]
)
def test_an_interrupted_call_loses_nothing_and_can_be_repeated(smallest, monkeypatch, of, name):
    before = of_0_2.content(smallest.folder)
    function, left = getattr(of, name), [3 if name != "write" else 0]

    def stops(*given):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return function(*given)

    with monkeypatch.context() as patch:
        patch.setattr(of, name, stops)
        with pytest.raises(KeyboardInterrupt):
            Adoption(smallest).take()
    assert earlier.is_earlier(smallest.folder)  # no job starts
    Adoption(smallest).take()
    assert not earlier.is_earlier(smallest.folder)
    assert of_0_2.content(smallest.folder / earlier.KEPT) == before
    assert lacking(smallest) == (0, 0)


def test_what_is_made_between_two_calls_keeps_its_place_beside_the_old(smallest):
    Adoption(smallest).take()
    old = of_0_2.content(smallest.folder / earlier.KEPT)
    # A job of 0.2 that was still in the queue of a cluster makes the folder again.
    late = smallest.folder / earlier.CACHE / "late"
    late.parent.mkdir()
    late.touch()
    assert earlier.is_earlier(smallest.folder)
    Adoption(smallest).take()
    after = of_0_2.content(smallest.folder / earlier.KEPT)
    assert after.keys() - old.keys() == {f"{earlier.CACHE}.2/late"}
    assert {name: after[name] for name in old} == old


def test_files_are_copied_where_there_are_no_hard_links(smallest, monkeypatch):
    link = os.link

    def refused(source, target, **options):
        if Path(source).suffix in (".zip", ".safetensors"):
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        link(source, target, **options)  # Zarr's own

    monkeypatch.setattr(os, "link", refused)
    found = Adoption(smallest)
    found.take()
    assert lacking(smallest) == (0, 0)
    assert all(file.target.stat().st_nlink == 1 for file in found.networks)


def test_files_of_the_store_that_were_damaged_or_replaced_are_taken_over_again(smallest):
    kept = smallest.folder / earlier.KEPT
    Adoption(smallest).take()
    found = [*Adoption(smallest).waves, *Adoption(smallest).networks, *Adoption(smallest).records]
    for file in found:  # another file, as in a copy of the folder, in which names are not links
        content = bytearray(file.target.read_bytes())
        content[len(content) // 2] ^= 1
        file.target.unlink()
        file.target.write_bytes(content)
    assert lacking(smallest) != (0, 0)
    before = of_0_2.content(kept)
    Adoption(smallest).take()
    assert lacking(smallest) == (0, 0)
    assert all(records.read_all(file.target) for file in Adoption(smallest).records)
    # A network that a job has trained with other settings since then.
    networks = Adoption(smallest).networks
    other = load_cells(networks[0].target)
    for id, cell in other.items():
        other[id] = cell._replace(metadata=replace(cell.metadata, recipe_digest="0" * 16))
    networks[0].target.unlink()
    save_cells(other, networks[0].target, {})
    assert lacking(smallest) == (0, 2)
    Adoption(smallest).take()
    assert lacking(smallest) == (0, 0)
    assert of_0_2.content(kept) == before


def test_deleted_digests_are_one_line_and_made_again(smallest):
    assert adopted.read(smallest.path(layout.STORE)) == {}
    Adoption(smallest).take()
    file = smallest.path(layout.STORE) / adopted.FILE
    content = file.read_text()
    file.unlink()
    with pytest.raises(StoreError, match=f"{file}: is missing; .*smallest --adopt` makes it again"):
        lacking(smallest)
    Adoption(smallest).take()
    assert file.read_text() == content


def test_damaged_digests_are_one_line_and_made_again(smallest):
    Adoption(smallest).take()
    file = smallest.path(layout.STORE) / adopted.FILE
    content = file.read_text()
    file.write_text(content.replace('": "', '": "0', 1))
    with pytest.raises(StoreError) as refused:
        lacking(smallest)
    said = str(refused.value)
    assert said.startswith(f"{file}: its checksum does not match its content; ")
    assert said.endswith("`passband run smallest --adopt` makes it again")
    Adoption(smallest).take()
    assert file.read_text() == content
    assert lacking(smallest) == (0, 0)
    # The folder of 0.2 may be deleted when it is no longer needed.
    shutil.rmtree(smallest.folder / earlier.KEPT)
    file.unlink()
    assert lacking(smallest) != (0, 0)
    Adoption(smallest).take()
    assert lacking(smallest) == (0, 0)
