"""``passband parts`` lists what the package and a study declare, and runs none of it."""

import json
from pathlib import Path

import pytest

import passband
from passband import cli

PART = """import no_such_module
from passband.parts import PAIR, metric


@metric(PAIR)
def mine(pair):
    \"\"\"Say how often the signs agree. And more.\"\"\"
"""


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine/parts").mkdir(parents=True)
    Path("mine/config.yaml").write_text("study: {name: mine}\n")
    Path("mine/parts/agree.py").write_text(PART)


def test_the_parts_of_a_study_are_listed_after_those_of_the_package(study, capsys):
    assert cli.main(["parts", "mine", "--kind", "metric"]) == 0
    *_, last = capsys.readouterr().out.splitlines()
    assert last.split(maxsplit=3) == [
        "metric",
        "mine",
        "parts/agree.py",
        "Say how often the signs agree.",
    ]
    assert cli.main(["parts", "mine", "--kind", "metric", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["parts"][-1]["own"]
    assert passband.open("mine").parts("metric").to_json() == json.dumps(found, ensure_ascii=False)


def test_check_lists_the_parts_of_the_study(study, capsys):
    text = PART.replace("import no_such_module\n", "")
    value = "    return pair.train.dose[:, None] * pair.test.dose\n"
    Path("mine/parts/agree.py").write_text(text + value)
    assert cli.main(["check", "mine"]) == 0
    assert "parts       metric mine, parts/agree.py" in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("words", [["check"], ["plan", "--seconds", "0"], ["run", "-n"]])
def test_parts_are_named_before_they_run(study, capsys, words):
    text = PART.replace("import no_such_module", "from .share import x")
    Path("mine/parts/agree.py").write_text(text)
    Path("mine/parts/share.py").write_text("raise SystemExit('runs')\n")
    assert cli.main([words[0], "mine", *words[1:]]) == 1
    said, fails = capsys.readouterr().err.splitlines()
    assert said == "runs the study's own parts: metric mine; in parts/agree.py and parts/share.py"
    assert fails.endswith("its import fails: SystemExit: runs")


def test_parts_are_listed_and_not_run(study, capsys):
    Path("mine/parts/agree.py").write_text(f"raise SystemExit('runs')\n{PART}")
    assert cli.main(["parts", "mine", "--kind", "metric"]) == 0
    assert capsys.readouterr().err == ""


def test_without_a_study_those_of_the_package_are_listed(study, capsys):
    assert cli.main(["parts", "--kind", "reader"]) == 0
    printed = capsys.readouterr().out
    assert "passband.micrographs.images.formats.tiff" in printed
    assert "agree" not in printed


def test_a_wrong_part_is_one_line_in_every_command_that_reads_the_study(study, capsys):
    Path("mine/parts/agree.py").write_text(PART.replace("PAIR)", "'both')"))
    for command in (["parts", "mine"], ["check", "mine"], ["status", "mine"]):
        assert cli.main(command) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line == (
            "mine/config.yaml: parts/agree.py, line 5: metric: of = 'both': must be SINGLE or PAIR"
        )


def test_an_unknown_kind_is_one_line(study):
    with pytest.raises(passband.PassbandError, match=r"^'pictures': is no kind of parts; allowed:"):
        passband.open("mine").parts("pictures")
