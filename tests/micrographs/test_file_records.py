"""Files that an earlier run has done are not segmented again, unless anything has changed."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
from thresholds import image_of, mask_of_discs, save

from passband import PassbandError
from passband.learning.network_files import open_networks
from passband.micrographs import file_records, predictions
from passband.micrographs.images.settings import Settings
from passband.micrographs.predictions import Predictor
from passband.micrographs.trust.trust import Unassessed

MASK = mask_of_discs((64, 64), (30, 30, 12))


@pytest.fixture
def predictor(tmp_path):
    np.save(tmp_path / "gold.npy", image_of(MASK))
    networks = open_networks(save(tmp_path / "a.safetensors"))
    settings = Settings(hot_pixels=False)
    return Predictor(networks, settings, tmp_path / "out", 0.3)


def predict(predictor):
    return predictor.predict(predictor.folder.parent / "gold.npy", "gold")


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_what_is_done_is_not_done_again(predictor, monkeypatch):
    first = predict(predictor)
    assert not first.is_earlier
    before = contents(predictor.folder)

    def fail(*_, **__):
        raise AssertionError("segmented again")

    monkeypatch.setattr(predictions, "segment", fail)
    again = predict(replace(predictor))
    assert again.is_earlier
    assert again.frames == first.frames
    assert again.written == first.written
    assert contents(predictor.folder) == before


@pytest.mark.parametrize("what", ["image", "setting", "pixel", "network", "version", "trust"])
def test_a_change_is_noticed(predictor, tmp_path, monkeypatch, what):
    """The changed image has the same size and time."""
    predict(predictor)
    changed = {
        "setting": {"settings": replace(predictor.settings, smallest_nm=0.6)},
        "pixel": {"pixel_size_A": 0.31},
        "trust": {"assessor": Unassessed("another reason")},
    }
    other = replace(predictor, **changed.get(what, {}))
    if what == "image":
        path = tmp_path / "gold.npy"
        stat = path.stat()
        np.save(path, image_of(MASK, 1))
        assert path.stat().st_size == stat.st_size
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    if what == "network":
        other = replace(other, networks=open_networks(save(tmp_path / "a.safetensors", {0: 0.6})))
    if what == "version":
        monkeypatch.setattr(predictions, "__version__", "0.0.0")
    assert not predict(other).is_earlier
    assert predict(replace(other)).is_earlier


def test_a_changed_mask_is_noticed(predictor, tmp_path):
    (tmp_path / "masks").mkdir()
    np.save(tmp_path / "masks/gold.npy", MASK)
    scored = replace(predictor, masks=tmp_path / "masks")
    assert predict(scored).frames[0].score.dice > 0.9
    np.save(tmp_path / "masks/gold.npy", ~MASK)
    assert predict(scored).frames[0].score.dice < 0.1


@pytest.mark.parametrize("kind", ["mask.ome.tif", "overlay.png"])
def test_a_missing_output_file_is_made_again(predictor, kind):
    before = predict(predictor) and contents(predictor.folder)
    (predictor.folder / f"gold_{kind}").unlink()
    assert not predict(predictor).is_earlier
    assert contents(predictor.folder).keys() == before.keys()


@pytest.mark.slow
def test_labels_that_somebody_has_edited_are_kept_beside(predictor):
    predict(predictor)
    labels = predictor.folder / "gold_instances.ome.tif"
    whole = labels.read_bytes()
    for number, edit in (("", b"edited"), ("2", b"edited again")):
        labels.write_bytes(edit)
        result = predict(predictor)
        assert not result.is_earlier
        name = f"gold_instances.changed{number}.ome.tif"
        assert (predictor.folder / name).read_bytes() == edit
        assert result.frames[0].notes == (
            "gold_instances.ome.tif had been changed since an earlier run: it is now " + name,
        )
        assert len(labels.read_bytes()) == len(whole)
    assert predict(predictor).is_earlier


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-20],
        lambda text: "[" * 100_000,
        lambda text: text.replace('"confidence": 0.', '"confidence": 0.1'),
        lambda text: json.dumps([text]),
        lambda text: "",
    ],
    ids=["cut", "nested", "digit", "list", "empty"],
)
def test_a_damaged_record_is_not_believed(predictor, change):
    predict(predictor)
    record = predictor.folder / file_records.FOLDER / "gold.json"
    record.write_text(change(record.read_text()))
    assert not predict(predictor).is_earlier
    assert predict(predictor).is_earlier


def test_a_pipe_is_not_read(predictor):
    predict(predictor)
    record = predictor.folder / file_records.FOLDER / "gold.json"
    record.unlink()
    os.mkfifo(record)
    assert not predict(predictor).is_earlier
    assert record.is_file()


def test_a_zarr_folder_is_known_by_its_files(tmp_path):
    folder = tmp_path / "a.zarr"
    (folder / "c/0").mkdir(parents=True)
    (folder / "zarr.json").write_text("{}")
    (folder / "c/0/0").write_bytes(b"one")
    first = file_records.key([folder])
    (folder / "c/0/0").write_bytes(b"two")
    second = file_records.key([folder])
    (folder / "c/0/0").rename(folder / "c/0/1")
    assert len({first, second, file_records.key([folder])}) == 3


def test_a_file_that_has_gone_is_named_in_one_line(tmp_path):
    with pytest.raises(PassbandError, match=r"gone\.npy: cannot be read: No such file"):
        file_records.key([tmp_path / "gone.npy"])


def test_what_a_killed_run_has_left_is_removed(tmp_path):
    from passband.storage import atomic

    (tmp_path / file_records.FOLDER).mkdir()
    running = tmp_path / atomic.temporary("a_mask.ome.tif")
    ended = running.name.replace(f"-{os.getpid()}.", f"-{2**22 + 1}.")
    own = tmp_path / ".hidden.a_mask.ome.tif"
    for path in (running, own, tmp_path / ended, tmp_path / file_records.FOLDER / ended):
        path.touch()
    file_records.clear(tmp_path)
    left = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {running, own}
