"""Results of Passband 0.2 are refused before a file of them is touched."""

import pytest
from bare_stores import write_bare
from workplace import Workplace

from passband import cli
from passband.storage.integrity import OF_02

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

CONDITION = "--defocus-nm=7", "--cs-um=1.2", "--aperture-mrad=16", "--dose-e-per-A2=200"
LINE = "results/smallest: made by Passband 0.2: run it again, or use 0.2"


@pytest.fixture
def place(tmp_path):
    """A folder with a store of exit waves that has the format of 0.2."""
    place = Workplace(tmp_path)
    waves = place.folder / "results/smallest/waves/gold/train"
    waves.mkdir(parents=True)
    write_bare(waves / "00000.zarr.zip", format=OF_02)
    return place


def content(place):
    results = place.folder / "results"
    return {path: path.stat().st_mtime_ns for path in results.rglob("*") if path.is_file()}


def test_snakemake_refuses_results_of_0_2_before_it_touches_a_file(place):
    before = content(place)
    for words in ([], ["--forceall", "--dry-run"], ["--delete-all-output"]):
        said = place.run(*words, study="studies/smallest.yaml", fails=True)
        assert LINE in said.splitlines()
        assert "Traceback" not in said
    assert content(place) == before


@pytest.mark.parametrize(
    "words",
    [
        ["run", "smallest"],
        ["run", "smallest", "--dry-run"],
        ["evaluate", "smallest", *CONDITION],
        ["gallery", "smallest"],
    ],
)
def test_a_command_that_would_write_results_is_refused_in_one_line(
    place, monkeypatch, capsys, words
):
    monkeypatch.chdir(place.folder)
    before = content(place)
    assert cli.main(words) == 1
    assert capsys.readouterr() == ("", f"{LINE}\n")
    assert content(place) == before
