"""The list of findings, and the command that recomputes them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import findings.__main__ as runner

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "findings"
LIST = (FOLDER / "README.md").read_text(encoding="utf-8")
LISTED = runner.listed_findings(FOLDER / "README.md")
#: The row of a finding with one folder; `check` is one of the four words.
ROW = "| [{folder} holds]({folder}/README.md#here) | another sign | held (`1234567`) | {check} |\n"
COMMAND = "python -m findings.{folder}.script"


# ── The list ─────────────────────────────────────────────────────────────────────────────────────


def test_the_list_has_every_folder():
    folders = {path.relative_to(FOLDER).parts[0] for path in FOLDER.glob("*/*") if path.is_file()}
    assert {finding.folder for finding in LISTED} == folders - {"__pycache__"}
    assert len(folders) > 8


def test_every_row_says_what_became_of_the_finding():
    assert all(re.match("held|refuted|seen afterwards|open", f.status) for f in LISTED)
    assert len({f.status.partition(" (")[0] for f in LISTED}) > 3


def test_every_row_has_the_version_that_made_it():
    for finding in LISTED:
        version, commit = re.search(
            r" \(([\d.]+(?:dev\d+)?), `([0-9a-f]{7})`\)$", finding.status
        ).groups()
        words = ["git", "show", f"{commit}:pyproject.toml"]
        shown = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
        if shown.returncode:
            pytest.skip("this clone has no history")
        assert f'\nversion = "{version}"\n' in shown.stdout, commit


def test_numbers_of_the_list_are_those_of_the_pages():
    rows = re.findall(r"^\| \[[^]]+\]\((\w+)/\S+\) \| (.+?) \| ", LIST, re.M)
    assert len(rows) == len(LISTED)
    lacking = []
    for folder, words in rows:
        page = "".join(path.read_text(encoding="utf-8") for path in (FOLDER / folder).glob("*.md"))
        there = set(re.findall(r"\d+\.\d+", page))
        lacking += [(folder, n) for n in re.findall(r"\d+\.\d+", words) if n not in there]
    assert lacking == []


def test_nothing_outside_imports_a_finding():
    folders = "src", "workflow", "docs", "benchmarks", "tests"
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 500
    # What is imported by the tests of what all findings use, is no finding.
    imports = re.compile(
        r"^ *(?:from|import) findings(?! import (?:pages|committed)$)(?!\.pages|\.__main__)\b", re.M
    )
    assert [p.name for p in files if imports.search(p.read_text(encoding="utf-8"))] == []


def commands() -> set[str]:
    """Return the modules of the commands that are not frozen."""
    found = set()
    for finding in LISTED:
        if finding.check.startswith(runner.FROZEN) or finding.command.startswith("make "):
            continue
        words = finding.command.split()
        assert words[:2] == ["python", "-m"], finding.command
        if words[2] == "findings":
            assert words[3] in {other.folder for other in LISTED}
            assert (FOLDER / words[3] / "recompute.py").is_file(), words[3]
        else:
            found.add(words[2])
    return found


@pytest.mark.slow
def test_every_command_starts():
    code = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)"
    modules = [
        f"{name}.__main__" if (ROOT / name.replace(".", "/")).is_dir() else name
        for name in sorted(commands())
    ]
    assert len(modules) > 3
    done = subprocess.run(
        [sys.executable, "-c", code, *modules], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


# ── The command ──────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Return a function that adds a finding to a tree in which the command runs.

    Its tests do not run.
    """
    (tmp_path / "findings").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(runner, "tested", lambda folders, out: None)

    def add(folder, body, check="*recomputed here*"):
        if "training" in check or "data" in check:
            check += f": `{COMMAND.format(folder=folder)}`"
        row = ROW.format(folder=folder, check=check)
        with (tmp_path / "findings/README.md").open("a") as page:
            page.write(row)
        (tmp_path / "findings" / folder).mkdir()
        if body is not None:
            code = f"from passband import PassbandError\ndef recompute():\n    {body}\n"
            (tmp_path / "findings" / folder / "recompute.py").write_text(code)

    return add


def test_what_is_compared_and_what_is_not_is_said(tree, capsys):
    tree("equal", "yield 'R2 0.978'; yield 'skipped: no data: the table of doses'")
    assert runner.main([]) == 0
    printed = capsys.readouterr().out
    assert "equal\n  R2 0.978\n" in printed
    assert re.search(r"^equal +1 +1 +0 +0 s$", printed, re.M)
    assert "skipped:\n  equal: no data: the table of doses\n" in printed
    assert printed.rstrip().endswith("nothing differs, 0 s")


def test_a_number_that_differs_is_one_line_and_hides_no_other_finding(tree, capsys):
    tree("differs", "yield 'one'; raise PassbandError('a.csv: 0.98, and the page has 0.97')")
    tree("breaks", "yield {}['a key']")
    tree("after", "yield 'reached'")
    assert runner.main([]) == 1
    printed, wrong = capsys.readouterr()
    assert "Traceback" not in printed + wrong
    assert "  reached\n" in printed
    assert "  differs: a.csv: 0.98, and the page has 0.97\n" in printed
    assert re.search(r"^  breaks: KeyError in recompute.py, line 3: 'a key'$", printed, re.M)
    assert printed.rstrip().endswith("2 failures, 0 s")


def test_one_folder_alone(tree, capsys):
    tree("one_alone", "yield 'this'")
    tree("second", "raise PassbandError('not asked for')")
    assert runner.main(["one_alone"]) == 0
    assert "second" not in capsys.readouterr().out


def test_what_is_frozen_or_trained_does_not_run(tree, capsys):
    tree("frozen", "raise PassbandError('a library has changed')", "*frozen at version 0.2.0*")
    tree("trained", None, "*needs training* (40 minutes)")
    tree("others", None, "*needs data* (doi 10.1/2)")
    tree("there", "yield 'the table'", "*needs data* (doi 10.1/2)")  # the script finds them
    assert runner.main([]) == 0
    printed = capsys.readouterr().out
    skipped = [
        "  frozen: frozen at version 0.2.0: frozen holds",
        f"  trained: needs training (40 minutes): `{COMMAND.format(folder='trained')}`",
        f"  others: needs data (doi 10.1/2): `{COMMAND.format(folder='others')}`",
    ]
    assert "skipped:\n" + "\n".join(skipped) + "\n\n" in printed


def test_a_finding_that_says_it_is_recomputed_must_be(tree, capsys):
    tree("promised", None)
    assert runner.main([]) == 1
    assert "promised: findings/promised/recompute.py: is missing\n" in capsys.readouterr().out


def test_what_the_machine_lacks_is_a_line_each(tree, tmp_path, monkeypatch, capsys):
    tree("equal", "yield 'all'")
    monkeypatch.setattr(runner, "DATA", tmp_path / "data")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    assert runner.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    words = "no data of others", "no networks", "another processor (AVX2"
    assert [line.startswith(word) for line, word in zip(lines[:3], words, strict=True)] == [
        True
    ] * 3

    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: runner.CAPABILITY)
    (tmp_path / "data").mkdir()
    (tmp_path / "results/demo/networks").mkdir(parents=True)
    assert runner.main([]) == 0
    assert capsys.readouterr().out.startswith("equal\n")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["nosuch"], "NAME = nosuch: must be there or also_there"),
        (["there", "nosuch"], "NAME = nosuch: must be there or also_there"),
    ],
)
def test_a_folder_that_does_not_exist_is_one_line(tree, words, line, capsys):
    tree("there", "yield 'this'")
    tree("also_there", "yield 'that'")
    assert runner.main(words) == 1
    assert capsys.readouterr() == ("", f"{line}\n")


def test_outside_the_repository_one_line_says_where_to_be(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert runner.main([]) == 1
    line = "findings/README.md: is missing; run this in the repository's root\n"
    assert capsys.readouterr() == ("", line)


def test_a_row_with_another_word_is_refused(tree, capsys):
    tree("odd", "yield 'all'", "*trust me*")
    assert runner.main([]) == 1
    assert "odd holds: must be recomputed here, needs data, " in capsys.readouterr().err


@pytest.mark.slow
def test_failing_tests_are_a_line_each(tmp_path, monkeypatch):
    (tests := tmp_path / "findings/a/tests").mkdir(parents=True)
    (tests / "test_a.py").write_text(
        "import pytest\n"
        "def test_right(): pass\n"
        "def test_wrong(): assert 1 == 2\n"
        "@pytest.mark.skip(reason='no networks')\n"
        "def test_later(): pass\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "WORKERS", 0)  # processes take seconds to start
    out = runner.Outcome("tests")
    runner.tested(["findings/a"], out)
    assert out.compared == 1
    assert out.failed == ["findings/a/tests/test_a.py::test_wrong - assert 1 == 2"]
    (skipped,) = out.skipped
    assert skipped.endswith("no networks")
    (tmp_path / "empty").mkdir()
    runner.tested(["empty"], empty := runner.Outcome("tests"))
    assert (empty.compared, empty.failed) == (0, [])


def test_make_and_the_checks_of_a_merge_know_the_command():
    assert "\nfindings: $(INSTALLED) ## " in (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "\nmake findings\n" in (ROOT / ".ci/run").read_text(encoding="utf-8")
