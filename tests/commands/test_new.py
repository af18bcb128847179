"""The command ``passband new``."""

import re
from pathlib import Path

import pytest

from passband import cli
from passband.config import load
from passband.results import Results


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("like", ["demo", "pilot", "paper", "real", "smallest"])
def test_a_new_study_is_a_folder_with_comments_and_its_own_name(like, capsys, monkeypatch):
    assert cli.main(["new", "mine", "--like", like]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[-4] == "  cd mine"
    assert re.findall(r"^  passband (\w+)", printed, re.M) == ["check", "plan", "run"]
    text = Path("mine/config.yaml").read_text()
    schema = re.match(r"# yaml-language-server: \$schema=(.+)\n", text)[1]
    assert Path(schema).is_file()
    assert text.count("$schema=") == 1
    assert max(map(len, text.splitlines())) <= 121
    found = Results.find("mine")
    study, results = found.study, found.folder
    assert study.study.name == "mine"
    assert results == Path("results/mine")
    root = Path(cli.__file__).parents[2]
    source = load(root / ("config.yaml" if like == "demo" else f"studies/{like}.yaml"))
    own, its = study.model_dump(), source.model_dump()
    assert own["study"].pop("name") != its["study"].pop("name")
    assert own == its
    assert cli.main(["check", "mine"]) == 0
    monkeypatch.chdir("mine")
    assert cli.main(["check"]) == 0


@pytest.mark.parametrize("like", ["demo", "pilot", "paper", "real"])
def test_a_new_study_has_no_spaces_at_the_end_of_a_line(like, capsys):
    assert cli.main(["new", "a", "--like", like]) == 0
    text = Path("a/config.yaml").read_text()
    assert [line for line in text.splitlines() if line != line.rstrip()] == []


def test_a_new_study_may_be_like_any_file(capsys):
    Path("own.yaml").write_text("# mine\nstudy:\n  name: own  # a name\n  seed: 7\n")
    assert cli.main(["new", "next", "--like", "own.yaml"]) == 0
    assert Results.find("next").study.study.seed == 7
    text = Path("next/config.yaml").read_text()
    assert "  name: next # a name" in text
    assert "# mine" in text


def test_a_study_in_another_folder_is_named_by_its_folder(capsys):
    assert cli.main(["new", "work/a-1"]) == 0
    assert "  cd work/a-1\n" in capsys.readouterr().out
    assert Results.find("work/a-1").study.study.name == "a-1"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["there"], "there: exists already; give another name"),
        (["file"], "file: exists already; give another name"),
        (["old"], "old: there is already a study of this name here"),
        (["known"], "known: there is already a study of this name here"),
        (["a_b"], "folder = 'a_b': its name must have up to 40 letters, digits, points and hy"),
        (["x" * 41], "folder = 'xxxxx"),
        (["mine", "--like", "best"], "--like = 'best': must be a study's file, or one of demo, "),
        (["mine", "--like", "studies"], "--like = 'studies': must be a study's file, or one of"),
        (["file/mine"], "file/mine: cannot be made: Not a directory"),
    ],
)
def test_a_new_study_is_refused_in_one_line(words, says, capsys):
    Path("there").mkdir()
    Path("file").touch()
    Path("results/old").mkdir(parents=True)
    Path("studies").mkdir()
    Path("studies/any.yaml").write_text("study: {name: known}\n")
    assert cli.main(["new", *words]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(says)
    assert err.count("\n") == 1
