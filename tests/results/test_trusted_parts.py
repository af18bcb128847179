"""Whose parts run: those of a study's file that the user names, and no others."""

import json
from pathlib import Path

import pytest
import xarray as xr
import yaml

from passband import PassbandError
from passband.config import PARTS, SOURCE, load_stored, validate_job
from passband.results import Results, layout, published, snapshot
from passband.storage import datasets

STUDY = {"study": {"name": "mine"}}
PART = """from pathlib import Path
from passband.parts import PAIR, metric

Path("mark").touch()


@metric(PAIR)
def mine(pair):
    return pair
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A working directory with a study and its part, whose import would leave a mark."""
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(yaml.safe_dump(STUDY))
    Path("parts").mkdir()
    Path("parts/mine.py").write_text(PART)
    return tmp_path


def runs(results: Results) -> bool:
    """Return whether the study's part runs, and check that it leaves its mark only then."""
    part = results.study.known_parts.get("metric", "mine")
    try:
        part.load()
    except PassbandError as error:
        assert "--trust-parts" in str(error) or "is missing" in str(error)  # noqa: PT017
    return Path("mark").exists()


def stored(name: str = "mine") -> Results:
    """Write results that know their study and its parts, and no more."""
    study = Results.find("config.yaml").study
    Path(f"results/{name}").mkdir(parents=True)
    results = Results(study, f"results/{name}")
    snapshot.write(results, "config.yaml", alone=True)
    attributes = {
        "configuration": json.dumps(study.written()),
        "config_digest": study.digest,
    }
    datasets.write(xr.Dataset(), results.path(layout.OOD), datasets.OOD, attributes)
    return results


@pytest.mark.parametrize("noun", ["config.yaml", ".", "./config.yaml", "mine"])
def test_parts_run_if_the_user_names_the_file(folder, noun):
    Path("results/mine").mkdir(parents=True)
    assert runs(Results.find(noun))


def test_reading_a_study_runs_nothing(folder):
    assert Results.find("config.yaml").study.known_parts.own
    assert not Path("mark").exists()


@pytest.mark.parametrize("place", ["beside", "stored", "written"])
def test_parts_of_results_do_not_run_unless_they_are_trusted_by_name(folder, place, monkeypatch):
    stored()
    if place == "stored":
        Path("config.yaml").unlink()
        (folder / "parts").rename("other")
    if place == "written":  # a study's file and its parts, in the folder of results itself
        Path("config.yaml").rename("results/mine/study.yaml")
        (folder / "parts").rename("results/mine/parts")
    noun = "mine" if place == "written" else "results/mine"
    results = Results.find(noun)
    with pytest.raises(PassbandError, match=f"^{noun}: the study has parts of its own"):
        results.check_trusted()
    assert not runs(results)
    trusted = Results.find(noun)
    trusted.trusts_stored = True
    trusted.check_trusted()
    assert runs(trusted)


def test_parts_of_a_published_network_do_not_run_unless_they_are_trusted(folder):
    network = folder / "network"
    network.mkdir()
    (folder / "parts").rename(network / "parts")
    (network / published.STUDY).write_text(yaml.safe_dump(STUDY))
    (network / published.WEIGHTS).touch()
    known = load_stored(network / published.STUDY).known_parts
    assert not known.is_trusted
    with pytest.raises(PassbandError, match="--trust-parts runs it"):
        known.get("metric", "mine").load()
    assert not Path("mark").exists()


def test_jobs_run_the_parts_of_their_snapshot(folder):
    results = Results.find("config.yaml")
    results.folder.mkdir(parents=True)
    copy = snapshot.write(results, "config.yaml", alone=True)
    handed = json.loads(copy.read_text())
    assert handed[SOURCE] == "config.yaml"
    Path("parts/mine.py").write_text(PART.replace("return pair", "return 'edited'"))
    study = validate_job(handed)
    assert study.known_parts.get("metric", "mine").load()("given") == "given"
    assert study.digest == results.study.digest
    edited = Results.find("config.yaml")
    assert edited.study.digest != results.study.digest
    assert Path(handed[PARTS]).is_dir()
    snapshot.write(edited, "config.yaml", alone=True)
    assert not Path(handed[PARTS]).exists()


def test_a_hostile_digest_leads_to_no_other_folder(folder):
    results = stored()
    evil = folder / "evil.parts"
    evil.mkdir()
    (evil / "mine.py").write_text(PART)
    attributes = {"configuration": json.dumps(STUDY), "config_digest": "../../../evil"}
    datasets.write(xr.Dataset(), results.path(layout.OOD), datasets.OOD, attributes)
    Path("config.yaml").unlink()
    assert Results.find("results/mine").study.known_parts.own == ()


def test_a_study_without_parts_of_its_own_is_trusted(folder):
    (folder / "parts/mine.py").unlink()
    Results.find("config.yaml").check_trusted()
    assert Results.find("config.yaml").study.known_parts.digest == ""


@pytest.mark.parametrize(
    ("place", "noun"), [("results", "mine"), ("results/mine", "."), (".", "results/mine")]
)
def test_parts_beside_results_do_not_run_whatever_path_names_the_results(
    folder, place, noun, monkeypatch
):
    stored()
    monkeypatch.chdir(place)
    results = Results.find(noun)
    assert results.study.known_parts.own
    assert not runs(results)
    assert not (folder / "mark").exists()


@pytest.mark.parametrize("place", ["results/mine", "downloads/mine"])
def test_a_config_in_a_folder_of_results_is_not_a_file_that_the_user_names(folder, place):
    """The folder of a study has a file of this name, too."""
    stored()
    if place != "results/mine":
        Path("downloads").mkdir()
        Path("results/mine").rename(place)
    Path("config.yaml").rename(f"{place}/config.yaml")
    (folder / "parts").rename(f"{place}/parts")
    assert not runs(Results.find(place))


def test_a_published_folder_does_not_run_since_a_study_above_has_its_name(folder, monkeypatch):
    network = folder / "networks/mine"
    network.mkdir(parents=True)
    (folder / "parts").rename(network / "parts")
    (network / published.STUDY).write_text(yaml.safe_dump({"study": {"name": "other"}}))
    (network / published.WEIGHTS).touch()
    monkeypatch.chdir(folder / "networks")
    results = Results(None, Path("mine"))
    assert results.study.known_parts.own
    assert not results.study.known_parts.is_trusted


@pytest.mark.parametrize("change", ["edited", "more", "compiled", "link"])
def test_jobs_run_no_snapshot_that_came_with_results(folder, change):
    results = Results.find("config.yaml")
    results.folder.mkdir(parents=True)
    copy = results.path(layout.PARTS, digest=results.study.digest)
    other = folder / "other" if change == "link" else copy
    other.mkdir(parents=True)
    edited = PART.replace("return pair", "return 'edited'")
    (other / "mine.py").write_text(PART if change in ("more", "compiled") else edited)
    if change == "more":
        (copy / "more.py").write_text(edited.replace("def mine", "def more"))
    if change == "compiled":
        (copy / "__pycache__").mkdir()
    if change == "link":
        copy.parent.mkdir()
        copy.symlink_to(other)
    handed = json.loads(snapshot.write(results, "config.yaml", alone=True).read_text())
    assert [file.name for file in copy.iterdir()] == ["mine.py"]
    known = validate_job(handed).known_parts
    assert known.get("metric", "mine").load()("given") == "given"
