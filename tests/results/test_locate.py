"""How a study is found by its file, its folder of results, or its name."""

import json
from pathlib import Path

import pytest
from bare_stores import write_bare

from passband import PassbandError, cli, repository
from passband.config import ConfigError, load, validate
from passband.results import Results
from passband.results.locate import network_path, study_names
from passband.results.published import SHIPPED, WEIGHTS, shipped

MICROSCOPE = "--defocus-nm 9 --cs-um 1 --aperture-mrad 9 --dose-e-per-A2 200"


@pytest.fixture(autouse=True)
def checkout(tmp_path, monkeypatch):
    """A folder with two studies, and with results of one of them."""
    monkeypatch.chdir(tmp_path)
    Path("studies").mkdir()
    Path("config.yaml").write_text("study: {name: demo}\n")
    Path("studies/mine.yaml").write_text("study: {name: gold}\n")
    Path("studies/broken.yaml").write_text("study: {name: 3\n")
    Path("results/demo").mkdir(parents=True)


def pair(noun):
    """Return the study of a noun, and its folder of results."""
    found = Results.find(noun)
    return found.study, found.folder


def place(noun):
    """Return the file of a study, and the folder in which Snakemake runs it."""
    found = Results.find(noun)
    return found.file, found.root


@pytest.mark.parametrize(
    "noun", ["config.yaml", "results/demo", "results/demo/", "demo", "./results/../results/demo"]
)
def test_file_folder_and_name_are_the_same_study(noun):
    found = Results.find(noun)
    assert found.study == load("config.yaml")
    assert found.existing().folder.resolve() == Path("results/demo").resolve()


def test_a_name_needs_no_results_for_its_study_and_a_results_folder_for_them():
    assert pair("gold") == (load("studies/mine.yaml"), Path("results/gold"))
    with pytest.raises(PassbandError, match=r"^gold: there is no folder results/gold yet"):
        Results.find("gold").existing()


@pytest.mark.parametrize("content", ["", "weights.safetensors"])
def test_a_studys_name_has_priority_over_a_folder_of_the_same_name(content):
    """The folder may be that of a network that `passband publish demo --out demo` wrote."""
    Path("demo").mkdir()
    Path("demo", content or "README.md").touch()
    assert Results.find("demo").folder == Path("results/demo")
    assert not Results.find("demo").is_published


def test_a_file_has_priority_over_a_study_of_the_same_name():
    Path("demo").write_text("study: {name: gold}\n")
    assert Results.find("demo").folder == Path("results/gold")


def test_a_folder_from_anywhere(tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    found = Results.find(tmp_path / "results" / "demo")
    assert found.study.study.name == "demo"
    assert found.folder == tmp_path / "results" / "demo"
    monkeypatch.chdir(tmp_path / "results" / "demo")
    found = Results.find(".")
    assert found.study.study.name == found.name == "demo"
    with pytest.raises(PassbandError, match=r"no ood\.zarr yet; run the study first"):
        assert found.ood


def test_an_unknown_study_is_one_line_that_lists_the_studies():
    with pytest.raises(PassbandError) as caught:
        Results.find("silver")
    (line,) = str(caught.value).splitlines()
    assert line.startswith("silver: no study of this name")
    assert "results/silver" in line
    assert line.endswith("; here are demo, gold")


@pytest.mark.parametrize("noun", ["studies/none.yaml", "none.yaml", "studies/broken.yaml"])
def test_an_error_in_a_file_names_the_file(noun):
    with pytest.raises(ConfigError, match=noun):
        pair(noun)


def test_two_files_of_one_name_are_refused_unless_one_of_them_is_given():
    Path("studies/copy.yaml").write_text("study: {name: demo, seed: 4}\n")
    for noun in ("demo", "results/demo"):
        with pytest.raises(
            PassbandError, match=r"config.yaml and studies/copy.yaml have this name"
        ):
            pair(noun)
    assert Results.find("studies/copy.yaml").study.study.seed == 4
    assert Results.find("demo").existing().folder == Path("results/demo")


def test_results_in_the_studys_own_folder_are_found_from_outside():
    """Where `cd gold && passband run` puts them, and where `passband run gold` goes on."""
    Path("gold").mkdir()
    Path("gold/config.yaml").write_text("study: {name: gold, seed: 7}\n")
    Path("gold/results/gold").mkdir(parents=True)
    assert place("gold") == (Path("gold/config.yaml"), Path("gold"))
    assert Results.find("gold").folder == Path("gold/results/gold")
    Path("results/gold").mkdir(parents=True)
    assert Results.find("gold").folder == Path("results/gold")


def test_results_without_a_study_file_name_their_study():
    study = load("studies/mine.yaml")
    Path("studies/mine.yaml").unlink()
    table = Path("results/gold/table.zarr")
    table.mkdir(parents=True)
    with pytest.raises(PassbandError, match="the results do not name their study"):
        pair("gold")
    write_bare(table, configuration=study.model_dump_json())
    assert pair("gold") == (study, Path("results/gold"))


def test_passbands_own_studies_have_their_names_in_every_folder():
    pilot = repository.studies()["pilot"]
    assert pair("pilot") == (load(pilot), Path("results/pilot"))
    assert place("pilot") == (pilot, Path())
    assert "pilot" not in study_names()
    Path("studies/pilot.yaml").write_text("study: {name: pilot, seed: 7}\n")
    assert pair("pilot")[0].study.seed == 7
    Path("studies/pilot.yaml").unlink()
    table = Path("results/pilot/table.zarr")
    write_bare(table, configuration=load(pilot).model_dump_json())
    assert place("pilot") == (pilot, Path())
    other = validate({"study": {"name": "pilot", "seed": 7}})
    write_bare(table, configuration=other.model_dump_json())
    assert pair("pilot") == (other, Path("results/pilot"))
    with pytest.raises(PassbandError, match="no file has a study of this name"):
        place("pilot")


def test_results_name_their_study_if_an_axis_leaves_out_its_own_value():
    study = validate({"study": {"name": "old"}, "grid": {"energy_kev": [200]}})
    write_bare("results/old/table.zarr", configuration=json.dumps(study.written()))
    assert pair("old") == (study, Path("results/old"))


@pytest.mark.parametrize(
    ("command", "store", "key", "own"),
    [
        ("table", "table.zarr", "specimens", "gold"),
        ("table", "ood.zarr", "specimens", "gold"),
        ("recommend --check", "table.zarr", "specimens", "gold"),
        ("recommend " + MICROSCOPE, "table.zarr", "training.architectures", "compact-w4-d2"),
        ("next --budget 1", "table.zarr", "specimens", "gold"),
        ("explore", "table.zarr", "specimens", "gold"),
        ("report", "ood.zarr", "specimens", "gold"),
    ],
)
def test_results_of_a_name_that_the_study_has_not_any_more_are_refused(
    capsys, command, store, key, own
):
    """Other specimens and architectures that the study has, and other keys, may be new."""
    blocks = {"specimens": {"gold": {}, "carbon": {}}, "training": {"architectures": []}}
    blocks["training"]["architectures"] = ["compact-w4-d2", "compact-w8-d3"]
    study = {"study": {"name": "demo"}, **blocks}
    Path("config.yaml").write_text(json.dumps(study))
    study["specimens"] = {"gold": {}}
    study["training"] = {"architectures": ["compact-w4-d2"], "epochs": 1}
    write_bare(f"results/demo/{store}", configuration=json.dumps(study))
    Results.find("demo").existing()
    new = "silver" if key == "specimens" else "compact-w6-d2"
    Path("config.yaml").write_text(Path("config.yaml").read_text().replace(own, new))
    assert cli.main([*command.split(), "demo"]) == 1
    others = "carbon" if key == "specimens" else "compact-w8-d3"
    assert capsys.readouterr().err == (
        f"{key} = {new}, {others}: results/demo/{store} has results of {own}; change the name "
        "back, or run the study again\n"
    )
    pair("demo")  # a run makes the results again


def test_a_folder_with_a_studys_file_is_the_study():
    Path("mine").mkdir()
    Path("mine/config.yaml").write_text("study: {name: other}\n")
    assert pair("mine") == (load("mine/config.yaml"), Path("results/other"))
    assert place("mine") == (Path("mine/config.yaml"), Path())
    with pytest.raises(PassbandError, match="there is no folder results/other yet"):
        Results.find("mine").existing()
    Path("results/other").mkdir()
    assert Results.find("mine").existing().folder == Path("results/other")


def test_results_of_a_study_in_its_own_folder_name_their_file():
    Path("results/mine").mkdir()
    Path("mine").mkdir()
    Path("mine/config.yaml").write_text("study: {name: mine}\n")
    for noun in ("mine", "results/mine", "mine/", "mine/config.yaml"):
        assert Results.find(noun).study.study.name == "mine"
        assert Results.find(noun).file == Path("mine/config.yaml")


def test_the_file_of_results_elsewhere_is_run_in_their_folder(tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert place(tmp_path / "results/demo") == (tmp_path / "config.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert place("results/demo") == (Path("config.yaml"), Path())
    assert study_names() == ["demo", "gold"]


def test_a_noun_is_a_weights_file_a_published_folder_or_a_study():
    assert network_path("gold") is None
    Path("gold").mkdir()
    Path("gold", WEIGHTS).touch()
    Path("weights").touch()
    for name in ("gold", "weights", "none.safetensors"):
        assert network_path(name) == Path(name)
    for name in ("demo", "results/demo", "studies/mine.yaml", "weights.yaml"):
        assert network_path(name) is None


def test_a_network_of_the_package_has_its_name_unless_something_else_has_it():
    assert network_path("general-2026") == SHIPPED / "general-2026"
    assert network_path("general") == shipped()["general"]
    Path("studies/new.yaml").write_text("study: {name: general}\n")
    assert network_path("general") is None
    Path("studies/new.yaml").unlink()
    Path("general").mkdir()
    assert network_path("general") is None


def test_results_without_a_file_cannot_be_run():
    Path("results/lost").mkdir()
    with pytest.raises(PassbandError, match=r"^lost: no file has a study of this name"):
        place("lost")


def test_what_is_wrong_with_the_file_in_the_results_is_said():
    Path("results/lost").mkdir()
    keys = "study: {name: lost}\ntraining: {epochs: never}\n"
    Path("results/lost/study.yaml").write_text(keys)
    for asked in (pair, place):
        with pytest.raises(ConfigError, match=r"^results/lost/study.yaml: training.epochs = "):
            asked("lost")


def test_the_files_of_the_present_jobs_begin_with_the_folder_of_results(tmp_path):
    keys = "name: demo, conditions_per_job: 1000, replicas: 2, replicas_per_job: 2"
    Path("config.yaml").write_text(f"study: {{{keys}}}\n")
    for results in (Path("results/demo"), tmp_path / "results/demo"):
        (file, *_) = files = Results(None, results).present
        assert file.parts[: len(results.parts)] == results.parts
        assert file.name == "r000-001.safetensors"
        assert len({path.parent.name for path in files}) == 1
    assert Results(None, "results/lost").present == frozenset()


POINTS = "defocus_nm,cs_um,aperture_mrad,dose_e_per_A2\n5,1.2,16,{}\n20,1.2,16,200\n"
LENS = "microscope: {aberrations: {astigmatism_nm: 5, coma_nm: 50, threefold_nm: 50}}\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("grid", "says"),
    [
        (
            "grid: {points: 1_000.csv}",
            "grid.points = '1_000.csv': line 2: dose_e_per_A2 = 1_000: must ",
        ),
        (
            "grid: [{points: ١٠٠٠.csv}]",
            "grid.points = '١٠٠٠.csv': line 2: dose_e_per_A2 = ١٠٠٠: must ",
        ),
        (
            "grid: {points: １.csv}",
            "grid.points = '１.csv': line 2: dose_e_per_A2 = １: must be written",
        ),
        (
            "grid: [[{defocus_nm: [7]}]]",
            "grid = [[{'defocus_nm': [7]}]]: is a list within a list; must",
        ),
        (
            "grid: {astigmatism_deg: [0, 90, 180]}",
            "grid.astigmatism_deg = 180: is the same condition",
        ),
        (
            "grid: {coma_deg: [-350.1, 9.9]}",
            "grid.coma_deg = 9.9: is the same condition as coma_deg =",
        ),
        (
            "grid: {threefold_deg: {start: 0, stop: 120, num: 3}}",
            "grid.threefold_deg = 120: is the",
        ),
        (
            "grid: {coma_deg: [0]}\ntest_grid: {coma_deg: [360]}",
            "test_grid.coma_deg = 360: is the same condition as coma_deg = 0, since coma repeats",
        ),
        (
            "grid: {points: [{astigmatism_deg: -90, defocus_nm: 5}, {astigmatism_deg: 90, "
            "defocus_nm: 5}], cs_um: [1.2], aperture_mrad: [16], dose_e_per_A2: [100]}",
            "grid.points[1].astigmatism_deg = 90: is the same condition",
        ),
    ],
)
def test_a_new_study_must_not_have_what_people_read_differently(grid, says):
    """A study with results has nothing to do, and its stored configuration is read, as before."""
    for number in ("1_000", "١٠٠٠", "１"):
        Path(f"{number}.csv").write_text(POINTS.format(number), encoding="utf-8")
    Path("new.yaml").write_text(f"study: {{name: new}}\n{LENS}{grid}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        Results.find("new.yaml")
    line = str(caught.value)
    assert line.startswith(f"new.yaml: {says}")
    assert "\n" not in line
    stored = load("new.yaml").written()
    write_bare("results/new/table.zarr", configuration=json.dumps(stored))
    assert place("new.yaml") == (Path("new.yaml"), Path())
    assert Results.find("new").study.train_ids == Results.find("new.yaml").study.train_ids


def test_a_new_study_is_checked_by_its_name_too():
    text = f"study: {{name: new}}\n{LENS}grid: {{threefold_deg: [0, 120]}}\n"
    Path("studies/new.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"^studies/new\.yaml: grid\.threefold_deg = 120: is the"):
        assert Results.find("new").study
    Path("results/new").mkdir()
    assert Results.find("new").study == load("studies/new.yaml")


@pytest.mark.parametrize(
    "grid",
    [
        "grid: {astigmatism_deg: [0, 90], coma_deg: [0, 180], threefold_deg: [0, 60]}",
        "grid: {points: [{astigmatism_deg: 0, defocus_nm: 5}, {astigmatism_deg: 180, "
        "defocus_nm: 6}], cs_um: [1.2], aperture_mrad: [16], dose_e_per_A2: [100]}",
        "grid: {points: plain.csv}",
        "grid: [{defocus_nm: [7]}]",
    ],
)
def test_a_new_study_may_have_what_everybody_reads_in_the_same_way(grid):
    Path("plain.csv").write_text(POINTS.format(" +1.50e+02 "))
    Path("new.yaml").write_text(f"study: {{name: new}}\n{LENS}{grid}\n")
    assert Results.find("new.yaml").study.study.name == "new"


def test_an_empty_word_is_no_study(capsys):
    """`passband check "$STUDY"` without this variable checked the working directory's study."""
    assert cli.main(["check", ""]) == 1
    assert capsys.readouterr().err.startswith("'': there is no such file or folder; give a study's")


@pytest.mark.parametrize(
    "command", ["report", "status", "table", f"evaluate {MICROSCOPE}", "recommend --check"]
)
def test_commands_that_need_a_study_refuse_a_published_folder(capsys, command):
    Path("mine").mkdir()
    Path("mine/weights.safetensors").touch()
    assert cli.main([*command.split(), "mine"]) == 1
    assert capsys.readouterr().err == "mine: is the folder of a published network; give the study\n"
    assert [path.name for path in Path("mine").iterdir()] == ["weights.safetensors"]


@pytest.mark.parametrize(
    ("noun", "says"),
    [
        ("mien", "there is no folder results/mien; did you mean mine? here are demo, gold, mine"),
        ("genral", "results/genral; did you mean general? here are demo, gold, mine"),
        ("smalest", "results/smalest; did you mean smallest? here are demo, gold, mine"),
        ("xxxxxxxx", "there is no folder results/xxxxxxxx; here are demo, gold, mine"),
        (
            "general-2026",
            "no study of this name, but a network of the package, for passband predict, or for "
            "passband new mine --like general-2026; give a study: here are demo, gold, mine",
        ),
    ],
)
@pytest.mark.parametrize("words", ["check {}", f"recommend {{}} {MICROSCOPE}"])
def test_a_name_that_is_unknown_is_answered_by_those_that_are_here(noun, says, words, capsys):
    Path("mine").mkdir()
    Path("mine/config.yaml").write_text("study: {name: mine}\n")
    assert cli.main(words.format(noun).split()) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{noun}: no study of this name")
    assert line.endswith(says)
    with pytest.raises(PassbandError) as error:
        Results.find(noun)
    assert str(error.value) == line


def test_many_studies_are_not_all_listed():
    for number in range(20):
        Path(f"results/s{number:02d}").mkdir()
    with pytest.raises(PassbandError, match=r"; here are demo, gold, s00, .*, s05 and 14 more$"):
        Results.find("xxxxxxxx")
