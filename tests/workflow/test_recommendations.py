"""Recommendations from the finished smallest study, and what they are worth."""

import json

import pytest

from passband import cli

SMALLEST = "studies/smallest.yaml"
#: A condition between those of the study.
HERE = {"defocus-nm": 7, "cs-um": 1.2, "aperture-mrad": 16, "dose-e-per-A2": 500}


@pytest.mark.slow
@pytest.mark.usefixtures("all_learned")
def test_further_tests_are_recommended_from_and_checked(copied, capsys, monkeypatch):
    monkeypatch.chdir(copied.folder)

    def printed(*arguments):
        assert cli.main(["recommend", SMALLEST, *arguments]) == 0
        return capsys.readouterr().out

    before = json.loads(printed("--check", "--json"))
    assert (len(before["conditions"]), before["networks"]) == (4, 8)
    assert not [*copied.folder.rglob("*.further.zarr.zip")]  # no network was tested
    options = [f"--{name}={value}" for name, value in HERE.items()]
    assert cli.main(["evaluate", SMALLEST, *options]) == 0
    capsys.readouterr()
    found = json.loads(printed(*options, "--json"))
    assert {network["how"] for network in found["networks"]} == {"measured"}
    assert found["inside"] is True
    content = json.loads(printed("--check", "--json"))
    assert set(content["conditions"]) == {*before["conditions"], found["nearest_tested"]}
    assert content["trained_there"] == before["trained_there"] == 4
