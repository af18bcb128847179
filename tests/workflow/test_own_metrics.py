"""Metrics of a study's own that are added to a finished study: nothing is trained."""

import shutil
import subprocess

import numpy as np
import pytest
from runs import ROOT
from workplace import Workplace

from passband.config import load
from passband.figures import generalization
from passband.results import Results
from passband.storage import datasets

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

RESULTS = "results/smallest"


@pytest.fixture
def place(tmp_path):
    """A study that an earlier version finished, which has the examples of both kinds of metrics."""
    place = Workplace(tmp_path)
    subprocess.run(["tar", "xf", ROOT / "tests/data/finished_03.tar.xz"], cwd=tmp_path, check=True)
    (tmp_path / "parts").mkdir()
    for name in ("same_sign", "failed"):
        shutil.copy(ROOT / f"examples/parts/{name}.py", tmp_path / "parts")
    return place


def test_metrics_that_are_added_train_nothing_and_are_everywhere(place, passband):
    study = "study.yaml"
    pages = {"report": 1, "explorer": 1}
    drawn = {"figure": len(load(place.folder / study).drawn) - 1}  # all but that of the lens
    stores = {"information": 1, "ood": 1}
    assert place.jobs(study=study, explorer=True) == stores | drawn | pages
    before = datasets.read(place.folder / RESULTS / "ood.zarr", datasets.OOD)
    place.run(study=study, explorer=True)

    information = datasets.read(place.folder / RESULTS / "information.zarr", datasets.INFORMATION)
    assert information.same_sign.attrs["label"] == "same sign of contrast"
    same = information.same_sign.sel(weight="flat").transpose("train", "test").values
    assert ((same >= 0) & (same < 1 + 1e-9)).all()
    np.testing.assert_allclose(np.diag(same), 1)
    ood = datasets.read(place.folder / RESULTS / "ood.zarr", datasets.OOD)
    assert {"failed", "failed_interval"} <= {*ood.data_vars}
    for name, variable in before.items():
        np.testing.assert_array_equal(variable.values, ood[name].values)
    figure = generalization.metrics(Results.find(place.folder / RESULTS).matrices(), information)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert "same sign of contrast" in labels
    page = (place.folder / RESULTS / "explorer.html").read_text(encoding="utf-8")
    assert '"same_sign":{"label":"same sign of contrast"' in page
    passband(place, "table", study, "--csv", "rows.csv")
    head = (place.folder / "rows.csv").read_text(encoding="utf-8").partition("\n")[0]
    assert "far_high,failed,failed_low,failed_high" in head

    # Only what depends on an edited file is made again.
    for name, jobs in (("failed", {"ood": 1}), ("same_sign", stores)):
        file = place.folder / "parts" / f"{name}.py"
        text = file.read_text(encoding="utf-8")
        file.write_text(f"{text}\n# edited\n", encoding="utf-8")
        assert place.jobs(study=study, explorer=True) == jobs | drawn | pages
        file.write_text(text, encoding="utf-8")
    assert place.jobs(study=study, explorer=True) == {}
