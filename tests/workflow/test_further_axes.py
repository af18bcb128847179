"""Studies of five and six axes, from the workflow to the report, the explorer and `recommend`."""

import re

import pytest
import xarray as xr
from workplace import Workplace

from passband.axes import AXES

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("all_learned")]

FIVE = {"astigmatism_nm": [0, 8]}
SIX = FIVE | {"vibration_A": [0, 0.6]}
#: Networks that are trained for one epoch. Only the numbers of conditions matter here.
SMALL = {
    "study": {"replicas": 1, "replicas_per_job": 1, "conditions_per_job": 8},
    "training": {"epochs": 1},
}
ASKED = ["--defocus-nm=12", "--cs-um=1.2", "--aperture-mrad=16", "--dose-e-per-A2=400", "--top=1"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A study of five axes, which then gets a sixth axis."""
    place = Workplace(tmp_path_factory.mktemp("further"))
    place.run(study=place.study("five.yaml", **SMALL, grid=FIVE))
    return place


def check(place: Workplace, passband, study: str, axes: dict[str, list[float]]) -> None:
    """Check that the table, the report, the explorer and `recommend` have all axes of a study."""
    results = place.folder / "results/smallest"
    table = xr.open_zarr(results / "table.zarr")
    number = 4 * 2 ** len(axes)
    assert (table.sizes["train"], table.sizes["test"]) == (number, number)
    assert int(table.dice.notnull().sum()) == number**2
    for name, values in axes.items():
        for side in ("train", "test"):
            assert sorted(set(table[f"{side}_{name}"].values.tolist())) == values
    passband(place, "report", study, "--output", "page.html")
    page = (place.folder / "page.html").read_text(encoding="utf-8")
    text = re.sub("<[^>]+>", "", page)
    passband(place, "explore", study, "--no-images")
    content = (results / "explorer.html").read_text(encoding="utf-8")
    for name, (low, high) in axes.items():
        label, unit = AXES[name].label, AXES[name].unit
        assert f"{label} {low:g}\u00a0{unit}" in page  # in the table of choices
        assert f"--{name.replace('_', '-')} {(low + high) / 2:g}" in text  # of the sliders
        assert f'"name":"{name}"' in content
        option = f"--{name.replace('_', '-')}={high:g}"
        said = passband(place, "recommend", study, *ASKED, option)
        assert "\ninside this study" in said
        assert f"{label} {high:g} {unit}" in said.partition("\n")[0]
        nearest = said.partition("nearest tested condition: ")[2].splitlines()[0]
        assert f"{label} " in nearest
    assert "outside this study" in passband(place, "recommend", study, *ASKED, "--coma-nm=100")


def test_a_study_of_five_axes_is_in_all_results(place, passband):
    check(place, passband, "five.yaml", FIVE)
    assert not place.jobs(study="five.yaml")


def test_a_sixth_axis_keeps_the_results_of_five(place, passband):
    table = place.folder / "results/smallest/table.zarr"
    with xr.open_zarr(table) as five:
        before = five.dice.load()
    place.run(study=place.study("six.yaml", **SMALL, grid=SIX))
    check(place, passband, "six.yaml", SIX)
    after = xr.open_zarr(table).dice.sel(train=before.train, test=before.test)
    assert (after.values == before.values).all()
