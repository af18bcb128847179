"""Which results are made again after a change of the study or of the package."""

import os
import shutil

import numpy as np
import pytest
from ase.build import bulk
from runs import FIGURES, MIDDLE, SILVER, reasons
from workplace import Workplace, counted

from passband.results.stores import load_table

pytestmark = pytest.mark.workflow


@pytest.mark.slow
def test_a_crystal_file_is_read_before_any_job_and_edited_makes_its_waves_again(tmp_path):
    place = Workplace(tmp_path / "w")
    # The path is relative to the study's file, from every working directory.
    file = place.folder / "mine" / "gold.xyz"
    file.parent.mkdir()
    specimens = {"gold": {"material": file.name, "shape": "sphere"}}
    study = place.study("mine/study.yaml", specimens=specimens)
    target = "results/smallest/waves/gold/val/00000.zarr.zip"
    file.write_text("no crystal")
    printed = place.run(target, study=study, fails=True)
    assert "specimens.gold: material = 'gold.xyz': not a crystal file that ASE reads" in printed
    assert "Traceback" not in printed
    assert not (place.folder / "results").exists()

    def crystal(a):
        bulk("Au", "fcc", a, cubic=True).write(file, format="extxyz")
        os.utime(file, (0, 0))  # a file that is older than the results of the other file

    crystal(4.078)
    place.run(target, study=study)
    crystal(4.078)
    assert "Nothing to be done" in place.run("--dry-run", target, study=study)
    crystal(4.1)
    assert reasons(place, target, study=study) == [
        "simulate: 1 job (gold val 00000): the content of specimens.gold.material has changed"
    ]


@pytest.mark.slow
def test_more_structures_simulate_only_the_shards_that_change(finished):
    jobs = finished.jobs(study=finished.study(study={"structures": {"train": 24}}))
    assert jobs["simulate"] == 2  # of three shards of 8, the first is full already


@pytest.mark.slow
def test_settings_without_effect_on_results_make_nothing_again(finished):
    study = finished.study(
        evaluation={"batch_size": 16, "bootstrap": 30},
        training={"decay": 0.5},  # unused by one-cycle
        microscope={"multislice_pixel_A": 0.09},  # what auto gives
    )
    assert "Nothing to be done" in finished.run("--dry-run", study=study)


@pytest.mark.slow
def test_a_new_specimen_is_tested_on_without_repeating_the_old(copied):
    study = copied.study(
        specimens={"silver": SILVER},
        grid={"defocus_nm": [5], "dose_e_per_A2": [200]},
    )
    jobs = copied.jobs(study=study)
    assert jobs["train"] == 1
    before = load_table(copied.folder / "results/smallest/table.zarr").counts.load()
    printed = copied.run("results/smallest/table.zarr", study=study)
    assert "on 2 conditions, 1 of them computed" in printed  # gold's network, now on silver too
    assert "on 2 conditions, 2 of them computed" in printed  # silver's network
    after = load_table(copied.folder / "results/smallest/table.zarr").counts
    only = {"specimen": ["gold"], "test_specimen": ["gold"]}
    kept = before.sel(train=after.train.values, test=after.test.values)
    np.testing.assert_array_equal(after.sel(only).values, kept.values)


@pytest.mark.slow
def test_a_specimen_that_is_only_tested_on_trains_nothing(copied):
    few = {"defocus_nm": [5, 20], "dose_e_per_A2": [1000]}
    study = copied.study(specimens={"silver": SILVER | {"trained": False}}, grid=few)
    others = {"information": 1, "aggregate": 1, "ood": 1, "report": 1}
    others |= {"figure": len(FIGURES)}
    assert copied.jobs(study=study) == {"simulate": 1, "evaluate": 2} | others
    network = f"results/smallest/networks/silver/compact-w4-d2/{MIDDLE}/r000-001.safetensors"
    assert "MissingRuleException" in copied.run("-n", network, study=study, fails=True)
    table_file = copied.folder / "results/smallest/table.zarr"
    before = load_table(table_file).counts.load()
    printed = copied.run("results/smallest/ood.zarr", "gallery", study=study)
    assert printed.count("on 4 conditions, 2 of them computed") == 2
    after = load_table(table_file)
    assert list(after.specimen.values) == ["gold"]
    assert list(after.test_specimen.values) == ["gold", "silver"]
    assert np.isfinite(after.dice).all()
    kept = before.sel(train=after.train.values, test=after.test.values)
    np.testing.assert_array_equal(after.counts.sel(test_specimen=["gold"]).values, kept.values)
    waves = copied.folder / "results/smallest/waves/silver"
    assert [path.name for path in waves.iterdir()] == ["test"]
    assert (copied.folder / "results/smallest/gallery/silver.png").is_file()
    # If networks are then trained on it, its test structures are kept.
    study = copied.study(specimens={"silver": SILVER}, grid=few)
    jobs = copied.jobs(study=study)
    assert (jobs["simulate"], jobs["train"]) == (3, 2)


@pytest.mark.slow
def test_jobs_of_another_size_simulate_train_and_test_nothing_again(copied):
    """All results are taken over, and among them those under the networks' own conditions."""
    results = copied.folder / "results/smallest"
    shutil.rmtree(results / "store/records")
    target = "results/smallest/table.zarr"
    grids = {"grid": {"dose_e_per_A2": [1000]}, "test_grid": {"dose_e_per_A2": [200]}}
    changes = grids | {"evaluation": {"test_own": True}}
    study = copied.study("grouped.yaml", study={"conditions_per_job": 2}, **changes)
    printed = copied.run(target, study=study)
    assert counted(printed) == {"train": 1, "evaluate": 1, "aggregate": 1}
    assert "4 network(s) on 4 conditions, 4 of them computed" in printed
    before = load_table(copied.folder / target).load()
    assert np.isfinite(before.own_dice).all()
    shutil.rmtree(results / "logs")

    sizes = {"replicas_per_job": 1, "structures_per_shard": 5}
    study = copied.study("single.yaml", study=sizes, **changes)
    jobs = counted(copied.run(target, study=study))
    assert jobs == {"simulate": 5, "train": 4, "evaluate": 4, "aggregate": 1}
    logs = [log for log in (results / "logs").rglob("*.log") if log.stem != "aggregate"]
    assert len(logs) == 5 + 4 + 4
    for log in logs:
        assert ", made by an earlier job, in " in log.read_text()
    after = load_table(copied.folder / target)
    assert after.drop_attrs().identical(before.drop_attrs())
    assert {"counts", "own_counts", "val_loss"} <= set(after.variables)
