"""Results that are made only on request: images, the gallery and the preflight."""

import os
from collections import Counter

import browser
import numpy as np
import pytest
import torch
import xarray as xr
from PIL import Image
from runs import MIDDLE
from workplace import SMALLEST, Workplace, counted

from passband.config import load
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Structures
from passband.results import Results, network_batches
from passband.runs.job_states import Run

pytestmark = pytest.mark.workflow


def asked_for(place: Workplace, study: str = "studies/smallest.yaml") -> dict:
    """Return the stages of results that only a request makes, and the states of their jobs.

    The explorer is not among them: a run makes it, though no study needs it to be complete.
    """
    found = Run(Results(load(place.folder / study), place.folder / "results/smallest")).read()
    return {
        stage: Counter(job.state for job in jobs)
        for stage, jobs in found.stages.items()
        if stage != "explorer" and not any(job.needed for job in jobs)
    }


@pytest.mark.slow
def test_a_condition_of_the_test_grid_is_written_as_images(copied):
    # 12 nm is only a test condition. The test split has the images of evaluation.
    study = copied.study(test_grid={"defocus_nm": [5, 12]})
    id = "df+0012.00_cs+0001.200_ap016.00_ds001000.00"
    target = f"results/smallest/images/gold/test/{id}.zarr"
    printed = copied.run(target, study=study)
    assert counted(printed) == {"images": 1}
    assert f"4 images in {target}" in printed
    path = copied.folder / target
    images = xr.open_zarr(path)
    assert images.defocus_nm == 12
    assert images.attrs["command"] == f"snakemake --cores all {target}"
    assert images.attrs["study"] == "smallest"
    assert sum(file.is_file() for file in path.rglob("*")) < 30
    microscope = load(SMALLEST).microscope
    waves = str(copied.folder / "results/smallest/waves/gold/test/00000.zarr.zip")
    structures = Structures(load(SMALLEST).study.seed, "gold", "test", microscope, (waves,))
    split = structures.load(torch.device("cpu")).under(Condition.parse(id))
    camera = Acquisition.from_microscope(microscope, "zscore", torch.device("cpu"))
    expected = torch.cat(list(camera.counts(split, Condition.parse(id))))
    np.testing.assert_array_equal(images.counts.values, expected.numpy())
    assert "Nothing to be done" in copied.run("--dry-run", target, study=study)


@pytest.mark.slow
def test_images_of_the_training_grid_only_are_written_too(copied):
    study = copied.study(test_grid={"defocus_nm": [12]})
    whose = ("", "_replica1_draw12")
    targets = [f"results/smallest/images/gold/train/{MIDDLE}{name}.zarr" for name in whose]
    assert copied.jobs(*targets, study=study) == {"images": 2}
    copied.run(targets[1], study=study)
    assert asked_for(copied, study) == {"images": {"done": 1}}
    images = xr.open_zarr(copied.folder / targets[1])
    assert (images.attrs["replica"], images.attrs["draw"]) == (1, 12)
    np.testing.assert_array_equal((images.instances > 0).any("face"), images["mask"])


@pytest.mark.slow
def test_images_of_no_grid_are_refused(tmp_path):
    place = Workplace(tmp_path / "w")
    # Defocus of one grid with dose of the other: a condition of neither.
    study = place.study(test_grid={"defocus_nm": [12], "dose_e_per_A2": [500]})
    for name in (
        "test/df+0012.00_cs+0001.200_ap016.00_ds001000.00",
        f"train/{MIDDLE}_replica2_draw3",  # of 0 and 1
    ):
        target = f"results/smallest/images/gold/{name}.zarr"
        printed = place.run("--dry-run", target, study=study, fails=True)
        assert "MissingRuleException" in printed


@pytest.mark.slow
def test_mixtures_and_groups_of_conditions_have_no_images(tmp_path):
    place = Workplace(tmp_path / "w")
    grid = load(SMALLEST).model_dump(include={"grid"}, exclude_none=True)["grid"]
    mixed = [grid, {"mixture": {"name": "all", "over": "grid"}}]
    study = place.study(grid=mixed, study={"conditions_per_job": 3})
    groups = network_batches.groups_of(load(place.folder / study))
    assert [len(ids) for ids in groups.values()] == [3, 1, 1]
    for group, allowed in zip(groups, (False, True), strict=False):
        target = f"results/smallest/images/gold/train/{group}.zarr"
        printed = place.run("--dry-run", target, study=study, fails=not allowed)
        assert ("MissingRuleException" in printed) != allowed


@pytest.mark.slow
def test_the_gallery_is_a_sheet_for_each_specimen_and_no_part_of_a_run(copied):
    everything = copied.jobs("--forceall", study="studies/smallest.yaml")
    assert not {"gallery", "gallery_sheet", "images"} & set(everything)
    printed = copied.run("gallery", study="studies/smallest.yaml")
    assert counted(printed) == {"gallery": 1, "gallery_sheet": 1}
    assert "4 structures in" in printed
    for format in ("png", "svg"):
        assert (copied.folder / f"results/smallest/gallery/gold.{format}").stat().st_size > 20_000
    assert asked_for(copied) == {"gallery": {"done": 1}}


@pytest.mark.slow
def test_snakemakes_report_has_the_figures_and_shows_high_ones_whole(copied):
    page = copied.folder / "results/smallest/snakemake-report.html"
    figure = copied.folder / "results/smallest/figures/examples.png"
    times = figure.stat().st_atime_ns, figure.stat().st_mtime_ns
    with Image.open(figure) as picture:
        picture.resize((1000, 1800)).save(figure)
    os.utime(figure, ns=times)
    copied.run("--report", str(page), study="studies/smallest.yaml")
    for text in ("Figures", "decay", "ctf.png"):
        assert text in page.read_text()
    browser.require()
    with browser.opened(page) as shown:
        for tag, words in (("a", "Results"), ("tr", "examples")):
            every = f"Array.from(document.querySelectorAll('{tag}'))"
            found = f"{every}.find(element => element.innerText.includes('{words}'))"
            shown.wait(f"Boolean({found})")
            shown.evaluate(f"({found}.querySelector('a') ?? {found}).click()")
        image = "document.querySelector('img[src^=\"data:image/png\"]')"
        shown.wait(f"{image}?.naturalHeight === 1800")
        top, height = shown.evaluate(
            f"(box => [box.top, box.height])({image}.getBoundingClientRect())"
        )
        assert top >= 0
        assert 700 < height < 800


@pytest.mark.slow
def test_a_job_checks_its_node_and_leaves_a_report_or_a_log(tmp_path, monkeypatch):
    place = Workplace(tmp_path)
    words = "--force", "preflight"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    printed = place.run(*words, study="studies/smallest.yaml")
    report = tmp_path / "results/smallest/preflight.txt"
    text = report.read_text()
    for name in ("imports", "GPU", "file system", "disk", "profile"):
        assert f"\n{name} " in f"\n{text}"
    assert text in printed
    if not torch.cuda.is_available():
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")  # a GPU that torch does not find
        printed = place.run(*words, study="studies/smallest.yaml", fails=True)
        assert "error: preflight: 1 of 5 checks failed: GPU; " in printed
        assert "Traceback" not in printed
        assert not report.exists()
        assert "FAILED" in (tmp_path / "results/smallest/logs/preflight.log").read_text()
