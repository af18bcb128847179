"""Copies of finished studies for tests that change them."""

import subprocess
from pathlib import Path

import pytest
import xarray as xr
from workplace import Workplace

from passband.analysis import learned

FINISHED = Path(__file__).parents[1] / "data/finished.tar.xz"


@pytest.fixture
def copied(finished, tmp_path) -> Workplace:
    """A copy of the finished smallest study, which the test may change."""
    place = Workplace(tmp_path / "copy")
    place.take(finished.folder)
    return place


@pytest.fixture
def all_learned(monkeypatch) -> None:
    """Regard all networks of this process's studies as good: theirs are trained too briefly."""
    of_table = learned.unlearned

    def unlearned(table, study) -> xr.DataArray:
        found = of_table(table, study)
        return xr.zeros_like(found).assign_attrs(learned=found.size)

    monkeypatch.setattr(learned, "unlearned", unlearned)


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory) -> Path:
    """The results of the finished study in tests/data, which no test may change."""
    folder = tmp_path_factory.mktemp("unpacked")
    subprocess.run(["tar", "xf", FINISHED, "results/smallest"], cwd=folder, check=True)
    return folder / "results/smallest"
