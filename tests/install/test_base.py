"""Passband without extras looks at images, and says in one line what all else needs."""

import json

import pytest

from passband import extras

pytestmark = pytest.mark.install

#: [MB] Of all files of the environment; 0.4 GB was asked for.
MOST_MB = 480


def test_it_is_small_and_has_nothing_of_the_grid(base):
    base.run("python -m pip check")
    found = base.run("du -sm environment")
    assert int(found.split()[0]) <= MOST_MB
    for module in extras.MODULES[extras.GRID]:
        base.run(f"! python -c 'import {module}' 2>/dev/null")


def test_an_image_is_segmented_and_its_labels_are_measured(base):
    said = base.run("passband predict general sample")
    assert "5 particles" in said
    assert "looks like the training images; expected Dice 0." in said
    base.run("cp predictions/sample_instances.ome.tif corrected.ome.tif")
    code = "from passband.results import published; print(published.SAMPLE)"
    base.run(f"cp $(python -c '{code}') .")
    said = base.run("passband predict sample.ome.tif --labels corrected.ome.tif --out labelled")
    assert "5 particles" in said
    assert (base.work / "labelled" / "sizes.png").is_file()


def test_a_condition_is_a_note_where_the_model_is_missing(base):
    said = base.run(
        "passband predict general sample --out given --defocus-nm 10 --cs-um 1.2 "
        "--aperture-mrad 16 --dose-e-per-A2 1000"
    )
    assert "a study's model needs abtem, ase, dask and" in said
    assert "Traceback" not in said


def test_a_lens_is_measured(base):
    said = base.run("passband ctf sample.ome.tif --json || true")
    assert "Traceback" not in said
    assert "sample.ome.tif" in said


def test_python_has_the_same(base):
    code = """
import json, passband
general = passband.open("general")
found = general.segment("sample")
print(json.dumps([len(found.particles), found.verdict, general.pixel_size_A]))
"""
    count, verdict, size = json.loads(base.run(f"python -c '{code}'"))
    assert (count, size) == (5, 0.5)
    assert verdict.startswith("looks like the training images")


@pytest.mark.parametrize(
    "what",
    [
        "passband run",
        "passband recommend general",
        "passband predict demo sample",
        "passband predict store.zarr --network general",
        "python -c 'import passband; passband.Study'",
    ],
)
def test_what_needs_the_grid_says_so_in_one_line(what, base):
    base.run("mkdir --parents store.zarr results/demo")
    said = base.run(f"{what} 2>&1 >/dev/null | tail -1")
    assert "run pip install 'passband[grid]'" in said
