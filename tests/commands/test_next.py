"""The command ``passband next``."""

import json
import shutil
from pathlib import Path

import pytest
from recommended import make_results, make_study

import passband
from passband import cli
from passband.answers.next_conditions import append, candidate_conditions, range_of_use, read_points
from passband.answers.tested_networks import TestedNetworks
from passband.axes import MAIN_AXES
from passband.config import load, validate
from passband.config.study_checks import is_allowed
from passband.door import Experiment
from passband.errors import PassbandError
from passband.grid import Axes, Condition
from passband.results import Results
from passband.wave_sets import wave_set

AXES = list(MAIN_AXES)

DEFOCUS = {"defocus_nm": [5, 10, 15, 20, 30, 40]}


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory):
    """A study whose last six of 24 training conditions have no networks."""
    folder = tmp_path_factory.mktemp("unfinished")
    study = make_study(cs_um=[1.2, 60], aperture_mrad=[16], **DEFOCUS)
    make_results(study, folder, without=6)
    return folder


@pytest.fixture
def folder(unfinished, tmp_path, monkeypatch):
    shutil.copytree(unfinished, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
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


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """A study of a product and of points, and the training conditions of each of its runs.

    A run writes the results of all networks at once.
    """
    monkeypatch.chdir(tmp_path)
    grid = {"defocus_nm": [5, 20], "cs_um": [1.2], "aperture_mrad": [16]}
    grid["dose_e_per_A2"] = [100, 400, 1600]
    study = {"study": {"name": "known", "structures": {"train": 4, "val": 2, "test": 6}}}
    study |= {"grid": [grid, {"points": "known-points.csv"}], "test_grid": grid}
    (tmp_path / "config.yaml").write_text(json.dumps(study))
    (tmp_path / "known-points.csv").write_text(",".join(AXES) + "\n10,1.2,16,400\n")
    runs = []

    def run(*_, **__):
        own = load("config.yaml")
        runs.append(len(own.train_conditions))
        shutil.rmtree("results", ignore_errors=True)
        make_results(own, tmp_path)
        (tmp_path / "config.yaml").write_text(json.dumps(study))

    monkeypatch.setattr(Experiment, "run", run)
    return runs


@pytest.mark.slow
def test_the_study_runs_until_the_budget_is_used(trained, capsys):
    status, out, err = run(capsys, "known", "--budget=7", "--until=0.0001")
    assert (status, err) == (0, "")
    assert trained == [7, 10, 14]  # batches of a half of 7, and the rest of the budget
    lines = out.splitlines()
    assert [line.split(":")[0] for line in lines[:3]] == [
        f"{number} training conditions" for number in trained
    ]
    assert lines[3:] == ["stopped after 7 of 7 conditions: above 0.0001"]
    assert len(Path("known-points.csv").read_text().splitlines()) == 9


@pytest.mark.slow
def test_the_study_runs_until_the_error_is_small(trained, capsys):
    status, out, _ = run(capsys, "known", "--budget=100", "--until=0.9")
    assert (status, trained) == (0, [7])
    assert out.endswith("stopped after 0 of 100 conditions: at most 0.9\n")


@pytest.mark.slow
def test_python_trains_the_next_conditions_until_the_same_end(trained):
    said = []
    found = passband.open("known").train_next(7, until=0.0001, report=said.append)
    assert trained == [7, 10, 14]
    assert str(found) == "stopped after 7 of 7 conditions: above 0.0001"
    assert (found.used, found.reached, found.last.trained) == (7, False, 14)
    assert [line.split(":")[0] for line in said] == [f"{n} training conditions" for n in trained]
    assert json.loads(found.to_json())["used"] == 7
    with pytest.raises(PassbandError, match=r"^until = 1.5: must be between 0 and 1, a Dice$"):
        passband.open("known").train_next(7, until=1.5)


def test_a_failed_run_ends_the_loop(trained, capsys, monkeypatch):
    def fail(*_, **__):
        raise PassbandError("a job failed")

    monkeypatch.setattr(Experiment, "run", fail)
    assert run(capsys, "known", "--budget=5", "--until=0.1") == (1, "", "a job failed\n")


def test_points_that_the_study_does_not_list_are_named_before_a_run(trained, capsys):
    study = json.loads(Path("config.yaml").read_text())
    study["grid"] = study["grid"][0]
    Path("config.yaml").write_text(json.dumps(study))
    status, _, err = run(capsys, "known", "--budget=5", "--until=0.1")
    assert (status, trained) == (1, [])
    assert err == (
        "--until = 0.1: the study does not train the points of known-points.csv; list the file in "
        "the study as grid: [{…}, {points: known-points.csv}]\n"
    )
    Path("known-points.csv").unlink()
    status, _, err = run(capsys, "known", "--budget=5", "--until=0.1")
    assert err.startswith("--until = 0.1: there is no known-points.csv yet; choose the first")


def test_a_range_of_use_that_the_study_does_not_have_is_refused_before_a_run(trained, capsys):
    status, _, err = run(capsys, "known", "--budget=5", "--until=0.1", "--axis=energy_kev=80")
    assert (status, trained) == (1, [])
    assert err.startswith("energy_kev = 80: needs exit waves that the study's test images do not")


def test_further_axes_are_columns_of_the_points(tmp_path):
    axes = Axes({"astigmatism_nm": 2.0})
    points = [Condition(5, 1.2, 16, 400, f, axes) for f in ((), {"astigmatism_nm": 7})]
    assert append(tmp_path / "points.csv", points) == 2
    head, *lines = (tmp_path / "points.csv").read_text().splitlines()
    assert head.split(",") == [*MAIN_AXES, "astigmatism_nm"]
    assert lines == ["5,1.2,16,400,2", "5,1.2,16,400,7"]
    assert read_points(tmp_path / "points.csv", axes) == points


def test_candidates_may_have_exit_waves_that_only_training_images_have(tmp_path):
    """Networks are trained at two energies, and tested at one of them. None is trained between."""
    given = make_study(cs_um=[1.2], aperture_mrad=[16], energy_kev=[200, 300]).written()
    study = validate(given | {"test_grid": {"energy_kev": [300]}})
    tested = TestedNetworks.open(Results(study, make_results(study, tmp_path)))
    found = {wave_set(condition) for condition in candidate_conditions(tested, 1)}
    assert found == {"", "en0200.00"}
    for condition in study.train_conditions:
        assert is_allowed(study, condition, "train")
        assert is_allowed(study, condition) == (wave_set(condition) == "")


def test_a_range_of_use_has_the_exit_waves_of_the_study():
    study = validate({"grid": {"energy_kev": [200, 300], "astigmatism_nm": [0, 5]}})
    asked = range_of_use(study, {"defocus_nm": "6:8"})
    assert asked.values["defocus_nm"] == (6, 8)
    assert asked.values["energy_kev"] == (300, 300)
    assert asked.values["astigmatism_nm"] == (0, 5)
    other = range_of_use(study, {"energy_kev": "200"})
    assert other.values["energy_kev"] == (200, 200)
    assert other.values["defocus_nm"] == (5, 20)


def test_points_in_other_units_are_read_and_written_in_those_of_the_axes(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text("dose_e_per_nm2,defocus_um,cs_mm,aperture_mrad\n40000,0.005,0.0012,16\n")
    points = [Condition(5, 1.2, 16, 400), Condition(20, 1.2, 16, 400)]
    assert append(path, points) == 2
    head, *lines = path.read_text().splitlines()
    assert (head.split(","), lines) == (AXES, ["5,1.2,16,400", "20,1.2,16,400"])


def test_chosen_conditions_are_appended_to_the_points_once(folder, capsys):
    status, out, err = run(capsys, "known", "--budget=2", "--append", "--json")
    assert status == 0
    assert err == (
        "known-points.csv: has 2 points; the study lists the file with "
        "grid: [{…}, {points: known-points.csv}]\n"
    )
    lines = (folder / "known-points.csv").read_text().splitlines()
    assert lines[0] == ",".join(AXES)
    first = json.loads(out)["conditions"][0]
    assert list(map(float, lines[1].split(","))) == [first[name] for name in AXES]
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


@pytest.mark.slow
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
        ("defocus_nm,cs_um\n1,2\n", "line 1: has columns for defocus_nm, cs_um; must have columns"),
        ("defocus,cs\n1,2\n", "line 1: column 'defocus' has no unit in its name; allowed: "),
        (f"{','.join(AXES)}\n5,1,16,many\n", "line 2: dose_e_per_A2 = many: must be between"),
        (f"{','.join(AXES)}\n5,1,16,9\n5,1,16,9\n", "line 3: is the same point as line 2"),
        ("", "line 1: is empty; must have names of columns such as "),
    ],
)
def test_a_file_of_points_that_cannot_be_read_stays_as_it_is(folder, capsys, text, words):
    path = folder / "known-points.csv"
    path.write_text(text)
    status, out, err = run(capsys, "known", "--budget=1", "--append")
    assert (status, out) == (1, "")
    assert err.startswith(f"'known-points.csv': {words}")
    assert path.read_text() == text
