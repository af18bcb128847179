"""Pieces of a study are merged, and a run makes the table of the whole from what they have."""

import numpy as np
import pytest
from pieces_of_study import halves

from passband import cli
from passband.results.stores import load_table

pytestmark = [pytest.mark.workflow, pytest.mark.slow]


def test_a_merged_study_trains_nothing_and_has_the_table_of_the_whole(copied, monkeypatch, capsys):
    monkeypatch.chdir(copied.folder)
    known = load_table("results/smallest/table.zarr").load()
    assert cli.main(["merge", *halves("results/smallest"), "--into", "results/ab"]) == 0
    copied.run("results/ab/table.zarr", study="results/ab/study.yaml")
    for stage in ("simulate", "train", "evaluate"):
        folder = copied.folder / f"results/ab/logs/{stage}"
        logs = [log.read_text() for log in folder.rglob("*.log")]
        assert len(logs) == 4
        assert all("made by an earlier job" in text for text in logs)
    made = load_table("results/ab/table.zarr").load()
    for name in ("counts", "dice", "val_loss", "best_epoch"):
        np.testing.assert_array_equal(made[name], known[name])
