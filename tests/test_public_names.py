"""The public names, as a user meets them: their help, their examples and their types.

`make lint` checks the types of this file.
"""

import doctest
import pydoc
import re
import shutil
import subprocess
from pathlib import Path
from typing import assert_type

import matplotlib.pyplot as plt
import pytest
import xarray as xr
from packaging.version import Version
from torch import nn

import passband
from passband.micrographs.images.segmentation import Segmentation
from passband.prediction.recommend.network_ranking import Recommendation
from passband.results.published import SHIPPED

ARCHIVE = Path(__file__).parent / "data/grouped_03.tar.xz"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with a finished study that is named demo, and an image."""
    folder = tmp_path_factory.mktemp("user")
    subprocess.run(["tar", "xf", ARCHIVE, "study.yaml", "results"], cwd=folder, check=True)
    text = (folder / "study.yaml").read_text()
    (folder / "config.yaml").write_text(text.replace("name: grouped", "name: demo"))
    (folder / "results/grouped").rename(folder / "results/demo")
    shutil.copy(SHIPPED / "sample.ome.tif", folder / "image.tif")
    return folder


@pytest.fixture
def demo(folder, monkeypatch, all_learned) -> passband.Experiment:
    monkeypatch.chdir(folder)
    return passband.Experiment.find("demo")


def examples() -> list[doctest.DocTest]:
    """Return the examples of the package, of its public names and of their methods."""
    finder = doctest.DocTestFinder(exclude_empty=False)
    names = {name: getattr(passband, name) for name in passband.__all__}
    found = [each for name, value in names.items() for each in finder.find(value, name, passband)]
    for room in passband.Experiment.__mro__[1:]:  # its verbs, by subject
        if room.__module__.startswith("passband.door."):
            found += finder.find(room, f"Experiment.{room.__name__}", passband)
    return [*finder.find(passband, "passband", False), *found]


@pytest.mark.parametrize("name", ["passband", *passband.__all__])
def test_every_public_name_has_an_example_that_runs(name: str, demo: passband.Experiment):
    of_name = [each for each in examples() if each.name.split(".")[0] == name]
    assert of_name[0].examples, f"{name} has no example"
    for example in of_name:
        example.globs = {"passband": passband, "demo": demo}
        said: list[str] = []
        assert not doctest.DocTestRunner().run(example, out=said.append).failed, "".join(said)
        plt.close("all")


def test_help_has_the_public_names():
    text = pydoc.plain(pydoc.render_doc(passband))
    for name in passband.__all__:
        assert f"class {name}" in text or f"\n    {name}(" in text


def test_a_user_gets_the_types_that_a_type_checker_sees(demo: passband.Experiment):
    table, ood = assert_type(demo.table, xr.Dataset), assert_type(demo.ood, xr.Dataset)
    assert isinstance(table, xr.Dataset)
    assert isinstance(ood, xr.Dataset)
    assert isinstance(assert_type(demo.study, passband.Study), passband.Study)
    condition = assert_type(demo.study.test_conditions[0], passband.Condition)
    assert isinstance(condition, passband.Condition)
    assert isinstance(assert_type(demo.images(condition), xr.Dataset), xr.Dataset)
    assert isinstance(assert_type(demo.recommend(condition), Recommendation), Recommendation)
    id = assert_type(next(iter(demo.networks)), passband.NetworkId)
    network = assert_type(demo.networks[str(id)], passband.TrainedNetwork)
    assert isinstance(assert_type(network.load(), nn.Module), nn.Module)
    assert isinstance(assert_type(network.dice, xr.DataArray), xr.DataArray)
    one = assert_type(
        demo.segment("image.tif", network=id), Segmentation | dict[Path, list[Segmentation]]
    )
    found = assert_type(demo.segment(["image.tif"], network=id), dict[Path, list[Segmentation]])
    assert isinstance(one, Segmentation)
    assert isinstance(found[Path("image.tif")][0], Segmentation)
    assert Path(passband.__file__).with_name("py.typed").exists()


@pytest.mark.parametrize("new", ["NetworkId", "PassbandError"])
def test_an_old_name_gives_the_new_one_and_a_warning(monkeypatch, new: str):
    old = "Old"
    monkeypatch.setitem(passband._RENAMED, old, (new, "0.3.0"))
    text = f"passband.Old is now passband.{new}; the old name goes in Passband 0.3.0"
    with pytest.warns(DeprecationWarning, match=f"^{re.escape(text)}$") as caught:
        assert getattr(passband, old) is getattr(passband, new)
    assert caught[0].filename == __file__  # Python shows it only to whoever wrote the old name


def test_no_old_name_is_there_in_the_version_in_which_it_goes():
    for old, (new, end) in passband._RENAMED.items():
        assert new in passband.__all__
        assert old not in passband.__all__
        assert Version(passband.__version__) < Version(end)
