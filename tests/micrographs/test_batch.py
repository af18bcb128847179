"""Many files, of which each is predicted or fails alone, in one process or in several."""

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from fatal_predictor import Fatal
from thresholds import image_of, mask_of_discs, save

from passband.learning.network_files import open_networks
from passband.micrographs import batch, summary
from passband.micrographs.batch import Task
from passband.micrographs.images.settings import Settings
from passband.micrographs.predictions import Prediction, Predictor


@pytest.fixture
def tasks(tmp_path):
    """Return a function that gives the tasks of five files, of which two fail, for a folder."""
    (tmp_path / "images").mkdir()
    networks = open_networks(save(tmp_path / "a.safetensors", {0: 0.4, 1: 0.6}))
    for number in range(5):
        mask = mask_of_discs((64, 64), (30, 20 + 5 * number, 9))
        np.save(tmp_path / f"images/{number}.npy", image_of(mask, number))
    (tmp_path / "images/1.npy").write_bytes(b"no array")
    paths = sorted((tmp_path / "images").iterdir())

    def of(name):
        predictor = Predictor(networks, Settings(), tmp_path / name, 0.3)
        predictors = [predictor, predictor, predictor, "3.npy: no rings", predictor]
        return [Task(p, p.stem, each) for p, each in zip(paths, predictors, strict=True)]

    return of


def test_a_failure_has_a_line_and_a_row(tasks):
    outcomes = list(batch.outcomes(tasks("out")))
    assert [isinstance(each, Prediction) for each in outcomes] == [True, False, True, False, True]
    assert "1.npy: not a whole .npy file" in outcomes[1]
    assert outcomes[3] == "3.npy: no rings"
    pairs = zip(tasks("out"), outcomes, strict=True)
    frames = [frame for task, outcome in pairs for frame in task.frames(outcome)]
    assert [frame.file for frame in frames] == [f"{k}.npy" for k in range(5)]
    assert [frame.error for frame in frames] == ["", outcomes[1], "", outcomes[3], ""]
    assert frames[1].networks == frames[0].networks
    assert len(frames[0].networks) == 2


@pytest.mark.slow
def test_several_processes_give_the_same_in_the_same_order(tasks, tmp_path):
    for name, jobs in (("one", 1), ("two", 2)):
        own = tasks(name)
        outcomes = batch.outcomes(own, jobs)
        pairs = zip(own, outcomes, strict=True)
        summary.write(
            [frame for task, outcome in pairs for frame in task.frames(outcome)], tmp_path / name
        )
    names = {path.name for path in (tmp_path / "one").iterdir()}
    assert names == {path.name for path in (tmp_path / "two").iterdir()}
    for name in names:
        one, two = tmp_path / "one" / name, tmp_path / "two" / name
        if name.endswith(".tif"):  # whose ids are new in each
            np.testing.assert_array_equal(tifffile.imread(one), tifffile.imread(two))
        elif one.is_file():
            assert one.read_bytes() == two.read_bytes()


@pytest.mark.slow
def test_a_process_that_ends_fails_only_its_file():
    predictor = Fatal("a", os.getpid())
    tasks = [Task(Path(name), name, predictor) for name in "ab"]
    first, second = batch.outcomes(tasks, 2)
    assert first == "a: its process has ended, perhaps for lack of memory"
    assert second.path == Path("b")
