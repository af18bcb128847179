"""A study of five axes, from the workflow to the report, the explorer and `recommend`."""

import re

import pytest
import xarray as xr
from workplace import Workplace

from passband.axes import AXES

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("all_learned")]

FIFTH = {"astigmatism_nm": [0, 8]}
#: Networks that are trained for one epoch. Only the numbers of conditions matter here.
SMALL = {
    "study": {"replicas": 1, "replicas_per_job": 1, "conditions_per_job": 8},
    "training": {"epochs": 1},
}
ASKED = ["--defocus-nm=12", "--cs-um=1.2", "--aperture-mrad=16", "--dose-e-per-A2=400", "--top=1"]


def test_a_study_of_five_axes_is_in_all_results(tmp_path, passband):
    place = Workplace(tmp_path)
    study = place.study(**SMALL, grid=FIFTH)
    place.run(study=study)
    results = place.folder / "results/smallest"
    table = xr.open_zarr(results / "table.zarr")
    number = 4 * 2
    assert (table.sizes["train"], table.sizes["test"]) == (number, number)
    assert int(table.dice.notnull().sum()) == number**2
    ((name, values),) = FIFTH.items()
    for side in ("train", "test"):
        assert sorted(set(table[f"{side}_{name}"].values.tolist())) == values
    passband(place, "report", study, "--output", "page.html")
    page = (place.folder / "page.html").read_text(encoding="utf-8")
    text = re.sub("<[^>]+>", "", page)
    passband(place, "explore", study, "--no-images")
    content = (results / "explorer.html").read_text(encoding="utf-8")
    low, high = values
    label = AXES[name].label
    unit = AXES[name].unit
    assert f"{label} {low:g}\u00a0{unit}" in page  # in the table of choices
    assert f"--axis {name}={(low + high) / 2:g}" in text  # of the sliders
    assert f'"name":"{name}"' in content
    said = passband(place, "recommend", study, *ASKED, "--axis", f"{name}={high:g}")
    assert "\ninside this study" in said
    assert f"{label} {high:g} {unit}" in said.partition("\n")[0]
    nearest = said.partition("nearest tested condition: ")[2].splitlines()[0]
    assert f"{label} " in nearest
    assert "outside this study" in passband(place, "recommend", study, *ASKED, "--axis=coma_nm=100")
    assert not place.jobs(study=study)
