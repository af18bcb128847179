"""The examples of parts, which are also the templates that `passband new --part` writes."""

from pathlib import Path

import pytest

import passband
from passband import cli
from passband.parts import KINDS, Parts, reading
from passband.parts.examples import examples, write_example

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "examples/parts").glob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_example_is_a_part_that_imports(file):
    known = Parts.read(file.parent)
    known.trust()
    for part in known.own:
        if part.file == file:
            assert part.doc or part.declaration.is_data
            known.get(part.kind, part.name).load()


def test_there_is_an_example_of_each_kind():
    kinds = [part.kind for file in FILES for part in reading.read(file)]
    assert sorted(kinds) == sorted(KINDS)
    assert list(examples()) == list(KINDS)


@pytest.mark.parametrize("kind", examples())
def test_a_new_part_is_known_to_its_study(kind, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text("study: {name: mine}\n")
    assert cli.main(["new", "--part", kind]) == 0
    file, *_ = capsys.readouterr().out.split(":")
    assert Path(file).parent == Path("parts")
    assert cli.main(["parts", "--kind", kind]) == 0
    assert f"parts/{Path(file).name}" in capsys.readouterr().out
    before = Path(file).read_text()
    assert cli.main(["new", "--part", kind]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"{file}: exists already; rename it, or delete it"
    assert Path(file).read_text() == before


def test_a_second_part_is_written_beside_the_first(tmp_path):
    first, second = (write_example(kind, tmp_path) for kind in ("metric", "figure"))
    assert first.parent == second.parent == tmp_path / "parts"
    assert first.exists()
    assert second.exists()


def test_a_part_needs_a_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["new", "none", "--part", next(iter(examples()))]) == 1
    assert capsys.readouterr().err.startswith("none: there is no such folder; make a study")
    with pytest.raises(SystemExit):
        cli.main(["new", "--part", "picture"])
    said = capsys.readouterr().err
    assert all(kind in said for kind in KINDS)


def test_a_part_is_not_like_a_study(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["new", "--part", "metric", "--like", "pilot"]) == 1
    assert capsys.readouterr().err == "--part: cannot be used together with --like\n"
    assert not Path("parts").exists()


def test_a_new_part_says_where_it_is(tmp_path):
    written = passband.new_part("metric", tmp_path)
    assert written.files == (tmp_path / "parts/same_sign.py",)
    assert written.files[0].read_bytes() == examples()["metric"].read_bytes()
    assert str(written).startswith(f"{written.files[0]}: an example of a part (metric) to edit")
    with pytest.raises(passband.PassbandError, match=r"^'picture': is no kind of parts; allowed: "):
        passband.new_part("picture", tmp_path)
