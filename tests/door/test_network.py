"""A network in a published folder is opened alone, and needs nothing of the grid."""

import shutil
import subprocess
import sys

import numpy as np
import pytest

import passband
from passband import extras
from passband.errors import PassbandError
from passband.results import published

#: Runs without a package of the grid, as if none was installed.
WITHOUT_GRID = f"""
import sys
sys.modules.update(dict.fromkeys({extras.MODULES[extras.GRID]!r}, None))
from passband.cli import main
"""


@pytest.fixture
def general() -> passband.Network:
    found = passband.open("general")
    assert isinstance(found, passband.Network)
    return found


@pytest.fixture
def folder(tmp_path):
    """A copy of the network of the package."""
    return shutil.copytree(published.SHIPPED / "general-2026", tmp_path / "folder")


def test_it_has_at_most_twelve_names(general):
    names = [name for name in dir(general) if not name.startswith("_")]
    assert {"card", "condition", "id", "limits", "pixel_size_A", "segment", "trust"} <= {*names}
    assert len(names) <= 12


def test_it_says_what_it_is(general):
    assert general.id.architecture == "compact-w8-d4"
    assert general.condition.defocus_nm == 25
    assert general.pixel_size_A == 0.5
    assert "gold" in general.limits
    assert general.card.startswith("# general-2026")
    assert general.limits in general._repr_html_()
    assert str(general.id) in general._repr_html_()


def test_it_finds_what_the_study_of_one_network_finds(general):
    found = general.segment("sample")
    study = passband.Experiment(None, general.folder)
    same = study.segment(str(published.SAMPLE))
    np.testing.assert_allclose(found.probability, same.probability, atol=1e-4)
    assert found.verdict == same.verdict
    assert len(found.particles) == len(same.particles) == 5


def test_an_array_is_an_image(general):
    image = general.segment("sample").probability
    found = general.segment(image, pixel_size_A=0.5, likeness=False)
    assert found.mask.shape == image.shape
    assert found.expected_dice is None


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"smallest_nm": -1}, "smallest_nm = -1"),
        ({"condition": {"cs_um": 2}}, "cs_um = 2: has an effect only together with defocus_nm"),
        ({"particles": "head"}, "particles = 'head'"),
        ({"nothing": 1}, "nothing"),
    ],
)
def test_a_wrong_argument_is_one_line(general, options, line):
    with pytest.raises(PassbandError) as error:
        general.segment("sample", **options)
    assert line in str(error.value)
    assert "\n" not in str(error.value)


def test_what_a_network_was_until_now_is_there_with_a_warning(general):
    with pytest.warns(DeprecationWarning, match=r"\.networks, open the study, or passband\.Exp"):
        assert list(general.networks) == [general.id]
    with pytest.raises(AttributeError, match="a network has no 'nothing'; it has card, condition"):
        general.nothing  # noqa: B018


def test_a_folder_of_somebody_is_opened_alike(folder):
    own = passband.open(folder)
    assert isinstance(own, passband.Network)
    assert own.folder == folder
    (folder / published.CARD).unlink()
    with pytest.raises(PassbandError, match=r"README\.md: cannot be read: "):
        own.card  # noqa: B018


def test_a_changed_file_is_one_line(folder):
    (folder / "model.onnx").write_bytes(b"nothing")
    with pytest.raises(PassbandError) as error:
        passband.open(folder).segment("sample")
    assert "model.onnx" in str(error.value)
    assert "\n" not in str(error.value)


def ran(*words, cwd):
    """Run a command without the grid, which must end with one line if it fails."""
    code = f"{WITHOUT_GRID}sys.exit(main({list(words)!r}))"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, timeout=300
    )
    assert "Traceback" not in run.stderr, run.stderr
    return run


def test_images_need_nothing_of_the_grid(tmp_path):
    given = "--defocus-nm", "10", "--cs-um", "1.2", "--aperture-mrad", "16"
    run = ran("predict", "general", "sample", *given, "--dose-e-per-A2", "1000", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "looks like the training images; expected Dice 0." in run.stdout
    assert "the condition is not used for the expected Dice, since a study's model needs" in (
        run.stdout + run.stderr
    )
    labels = tmp_path / "predictions/sample_instances.ome.tif"
    shutil.copy(labels, tmp_path / "own.ome.tif")
    words = "predict", str(published.SAMPLE), "--labels", "own.ome.tif", "--out", "own"
    run = ran(*words, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "own/particles.csv").is_file()


@pytest.mark.parametrize(
    "words",
    [
        ("run", "--help"),
        ("new", "mine", "--like", "general"),
        ("recommend", "general"),
        ("predict", "general", "sample", "--precision", "bfloat16"),
        ("predict", "general", "store.zarr"),
        ("predict", "demo", "image.tif", "--network", "auto"),
        ("predict", "weights.safetensors", "image.tif"),
    ],
    ids=" ".join,
)
def test_what_needs_the_grid_says_so_in_one_line(words, tmp_path):
    (tmp_path / "store.zarr").mkdir()
    (tmp_path / "weights.safetensors").touch()
    run = ran(*words, cwd=tmp_path)
    assert run.returncode != 0
    *_, last = run.stderr.splitlines()
    assert last.endswith("pip install -e '.[grid]' in a checkout")


def test_names_that_need_the_grid_say_so():
    code = "import passband\npassband.open, passband.Network, passband.ctf\npassband.Study"
    head = WITHOUT_GRID.replace("from passband.cli import main\n", "")
    run = subprocess.run([sys.executable, "-c", head + code], capture_output=True, text=True)
    assert run.stderr.splitlines()[-1].startswith(
        "passband.errors.PassbandError: passband.Study needs"
    )
