"""Recommendations from the finished smallest study, and their check."""

import json

import pytest

from passband import cli
from passband.answers import recommendation_check
from passband.config import load

SMALLEST = "studies/smallest.yaml"


@pytest.mark.slow
@pytest.mark.usefixtures("all_learned")
def test_the_check_tests_all_networks_once_and_its_results_are_found(copied, capsys, monkeypatch):
    monkeypatch.chdir(copied.folder)

    def printed(*arguments):
        assert cli.main(["recommend", SMALLEST, *arguments]) == 0
        return capsys.readouterr().out

    first = printed("--check", "6", "--json")
    content = json.loads(first)
    # Of the two outside, one has a dose below half of the lowest, for which nothing is recommended.
    assert (content["inside"]["number"], content["outside"]["number"]) == (6, 1)
    assert content["networks"] == 8
    assert content["inside"]["rules"].keys() > {"recommended", "nearest in T(q)", "tested there"}
    extra = copied.folder / "results/smallest/extra"
    times = {path: path.stat().st_mtime_ns for path in extra.rglob("*.zarr.zip")}
    assert len(times) == 4
    assert printed("--check", "6", "--json") == first
    assert {path: path.stat().st_mtime_ns for path in extra.rglob("*.zarr.zip")} == times
    assert "| recommended |" in printed("--check", "6")

    (drawn, *_), _ = recommendation_check.microscopes(load(SMALLEST), 6, 0)
    options = [
        f"--defocus-nm={drawn.defocus_nm}",
        f"--cs-um={drawn.cs_um}",
        f"--aperture-mrad={drawn.aperture_mrad}",
        f"--dose-e-per-A2={drawn.dose_e_per_A2}",
    ]
    found = json.loads(printed(*options, "--json"))
    assert {network["how"] for network in found["networks"]} == {"measured"}
    assert found["inside"] is True
    assert found["nearest_tested"] == drawn.id
