"""The command ``passband next``."""

import json

import pytest
from recommended import make_results, make_study

from passband import cli
from passband.grid import MAIN_AXES

DEFOCUS = {"defocus_nm": [5, 10, 15, 20, 30, 40]}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A study whose last six of 24 training conditions have no networks."""
    monkeypatch.chdir(tmp_path)
    study = make_study(cs_um=[1.2, 60], aperture_mrad=[16], **DEFOCUS)
    make_results(study, tmp_path, without=6)
    return tmp_path


def run(capsys, *arguments):
    status = cli.main(["next", *arguments])
    out, err = capsys.readouterr()
    return status, out, err


def test_conditions_of_the_study_without_networks_are_chosen(folder, capsys):
    status, out, err = run(capsys, "known", "--budget", "4", "--json")
    content = json.loads(out)
    assert (status, err) == (0, "")
    assert (content["trained"], content["candidates"], content["asked"]) == (18, 6, None)
    chosen = content["conditions"]
    assert len({c["id"] for c in chosen}) == 4
    assert {c["defocus_nm"] for c in chosen} <= {30, 40}
    errors = [content["error"], *(c["error"] for c in chosen)]
    assert errors[0] > errors[-1] > 0
    assert 0 < content["cross_validated_error"] < 1


def test_conditions_between_those_of_the_grid_are_chosen_on_request(folder, capsys):
    status, out, _ = run(capsys, "known", "--budget=3", "--between=1", "--defocus-nm", "5:15")
    assert status == 0
    assert out.startswith("gold, study known, in the range 5 to 15 nm · 1.2 to 60 µm · 16 mrad · ")
    assert "18 training conditions have networks, 81 are candidates" in out
    assert "after these\ncross-validation over the trained conditions: 0." in out


def test_no_more_conditions_are_chosen_than_the_error_needs(folder, capsys):
    _, out, _ = run(capsys, "known", "--budget=6", "--json")
    limit = json.loads(out)["conditions"][1]["error"]
    _, out, _ = run(capsys, "known", "--budget=6", f"--until={limit + 1e-6}", "--json")
    assert len(json.loads(out)["conditions"]) == 2


def test_chosen_conditions_are_appended_to_the_points_once(folder, capsys):
    status, out, err = run(capsys, "known", "--budget=2", "--append", "--json")
    assert status == 0
    assert err == (
        "known-points.csv: has 2 points; the study lists the file with "
        "grid: [{…}, {points: known-points.csv}]\n"
    )
    lines = (folder / "known-points.csv").read_text().splitlines()
    assert lines[0] == ",".join(MAIN_AXES)
    first = json.loads(out)["conditions"][0]
    assert list(map(float, lines[1].split(","))) == [first[name] for name in MAIN_AXES]
    run(capsys, "known", "--budget=3", "--append")
    again = (folder / "known-points.csv").read_text().splitlines()
    assert again[:3] == lines
    assert len(again) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--budget=0"], "--budget = 0: must be between 1 and 1,000"),
        (["--budget=1", "--until=1.5"], "--until = 1.5: must be between 0 and 1, a Dice"),
        (["--budget=1", "--between=10"], "--between = 10: must be between 0 and 9"),
        (
            ["--budget=1", "--defocus-nm=9:5"],
            "--defocus-nm = '9:5': the range is reversed; write 5:9",
        ),
        (["--budget=1", "--specimen=tin"], "--specimen = 'tin': must be one of gold"),
    ],
)
def test_wrong_options_are_named(folder, capsys, arguments, message):
    assert run(capsys, "known", *arguments) == (1, "", f"{message}\n")


def test_a_study_whose_conditions_all_have_networks_has_values_between(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    make_results(make_study(cs_um=[1.2], aperture_mrad=[16], **DEFOCUS), tmp_path)
    status, out, _ = run(capsys, "known", "--budget=1", "--json")
    assert (status, json.loads(out)["candidates"]) == (0, 11 * 3 - 12)
    status, _, err = run(capsys, "known", "--budget=1", "--between=0")
    assert (status, err.startswith("results/known: every candidate has networks already")) == (
        1,
        True,
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("defocus,cs\n1,2\n", "line 1 = 'defocus,cs': must be defocus_nm,cs_um,"),
        (f"{','.join(MAIN_AXES)}\n1,2,3,many\n", "line 2 = '1,2,3,many': must be"),
        ("", "line 1 = '': must be"),
    ],
)
def test_a_file_of_points_that_cannot_be_read_stays_as_it_is(folder, capsys, text, words):
    path = folder / "known-points.csv"
    path.write_text(text)
    status, out, err = run(capsys, "known", "--budget=1", "--append")
    assert (status, out) == (1, "")
    assert err.startswith(f"known-points.csv: {words}")
    assert path.read_text() == text
