"""The parts of a study: found in its folder, and run only if trusted."""

import importlib.util
import marshal
from pathlib import Path

import pytest

from passband import PassbandError
from passband.config import load
from passband.parts import PACKAGE, Parts, reading, source
from passband.results import locate

LOSS = """from passband.parts import loss

@loss()
def {name}(logits, mask, settings):
    return {value}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "parts").mkdir()
    return tmp_path / "parts"


def write(folder, name, value=0, file=None):
    path = folder / f"{file or name}.py"
    path.write_text(LOSS.format(name=name, value=value))
    return path


def test_files_that_are_too_large_together_are_refused_unread(folder, monkeypatch):
    for number in range(3):
        (folder / f"_{number}.py").write_text("#" * 190_000)
    monkeypatch.setattr(Path, "open", None)
    said = r"^parts/: its files have 570,000 bytes; must have at most 500,000$"
    with pytest.raises(PassbandError, match=said):
        Parts.read(folder)


def test_many_studies_with_one_folder_of_large_parts_parse_each_once(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    parsed = []
    real = source.parsed

    def watched(text, shown):
        parsed.append(shown)
        return real(text, shown)

    for module in (source, reading):
        monkeypatch.setattr(module, "parsed", watched)
    (folder.parent / "studies").mkdir()
    folder.rename(folder.parent / "studies/parts")
    write(folder.parent / "studies/parts", "mine")
    for number in range(20):
        file = folder.parent / f"studies/small{number:02}.yaml"
        file.write_text(f"study: {{name: small{number}}}\n")
    for _ in range(2):
        assert len(locate.study_names()) == 20
        assert load("studies/small00.yaml").known_parts.digest
    # For its declarations, and for the files that it imports.
    assert len([shown for shown in parsed if shown.endswith("mine.py")]) == 2


def test_a_part_knows_its_file_and_those_that_it_imports(folder):
    file = write(folder, "mine")
    file.write_text(f"from .share import x\n{file.read_text()}")
    (folder / "share.py").touch()
    own = Parts.read(folder).get("loss", "mine")
    assert own.files == [file, folder / "share.py"]
    assert PACKAGE.get("loss", "entropy-dice").files == []


def test_parts_are_found_in_the_folder_of_a_study(folder):
    write(folder, "mine")
    (folder / "_helper.py").write_text("raise ValueError")
    (folder / "notes.txt").write_text("no part")
    known = Parts.read(folder)
    assert known.get("loss", "mine").is_own
    assert known.of("loss").keys() == PACKAGE.of("loss").keys() | {"mine"}
    assert Parts.read(folder / "none").own == ()


def test_code_runs_only_if_it_is_trusted(folder):
    (folder / "mine.py").write_text(
        f"import pathlib; pathlib.Path({str(folder / 'mark')!r}).touch()\n{LOSS}".format(
            name="mine", value=1
        )
    )
    known = Parts.read(folder)
    with pytest.raises(
        PassbandError, match=r"^loss 'mine' of parts/mine.py, line 4: .*--trust-parts"
    ):
        known.get("loss", "mine").load()
    assert not (folder / "mark").exists()
    known.trust()
    assert known.get("loss", "mine").load()(0, 0, 0) == 1
    assert (folder / "mark").exists()


def test_an_unknown_name_lists_those_that_are_known(folder):
    write(folder, "mine")
    with pytest.raises(
        PassbandError, match=r"'mime': there is no loss .*did you mean mine\? allowed: .*mine"
    ):
        Parts.read(folder).get("loss", "mime")


def test_a_name_in_a_stored_configuration_may_be_that_of_a_missing_part(folder):
    missing = Parts.read(folder, is_stored=True).get("loss", "gone")
    with pytest.raises(
        PassbandError, match=r"^loss 'gone': is a part of the study, and is missing"
    ):
        missing.load()


def test_two_parts_of_one_name_are_refused(folder):
    write(folder, "mine")
    write(folder, "mine", file="other")
    with pytest.raises(
        PassbandError, match=r"parts/other.py, line 3: parts/mine.py, line 3 has a loss"
    ):
        Parts.read(folder)


METRIC = """from passband.parts import PAIR, {kind}

@{kind}(PAIR)
def {name}({of}): ...
"""


@pytest.mark.parametrize(
    ("kind", "name", "says"),
    [
        ("metric", "mine", r"parts/second.py, line 3: parts/first.py, line 3 has an ood_metric of"),
        ("ood_metric", "fidelity", r"passband.analysis.information, line \d+ has a metric of"),
        ("metric", "worst", r"passband.analysis.ood_metrics, line \d+ has an ood_metric of"),
    ],
)
def test_a_metric_and_an_ood_metric_of_one_name_are_refused(folder, kind, name, says):
    arguments = {"metric": "pair", "ood_metric": "row"}
    for file, each, called in (("first", "ood_metric", "mine"), ("second", kind, name)):
        text = METRIC.format(kind=each, name=called, of=arguments[each])
        (folder / f"{file}.py").write_text(text)
    with pytest.raises(PassbandError, match=says + " this name, too$"):
        Parts.read(folder)


def test_files_import_those_beside_them_and_an_edit_is_seen(folder):
    (folder / "_helper.py").write_text("VALUE = 1")
    (folder / "mine.py").write_text(
        "from ._helper import VALUE\n" + LOSS.format(name="mine", value="VALUE")
    )
    known = Parts.read(folder)
    known.trust()
    part = known.get("loss", "mine")
    assert part.load()(0, 0, 0) == 1
    write(folder, "unrelated")
    assert Parts.read(folder).get("loss", "mine").identity == part.identity
    (folder / "_helper.py").write_text("VALUE = 2")
    edited = Parts.read(folder)
    edited.trust()
    assert edited.get("loss", "mine").load()(0, 0, 0) == 2
    assert edited.get("loss", "mine").identity != part.identity


def test_a_file_without_a_part_is_refused_unless_a_part_imports_it(folder):
    write(folder, "mine")
    helper = folder / "helper.py"
    helper.write_text("from passband.parts import loss\n\ndef forgotten(logits, mask): ...")
    with pytest.raises(PassbandError, match=r"^parts/helper.py: has no part, a function or class"):
        Parts.read(folder)
    loss = LOSS.format(name="a", value=0)
    (folder / "mine.py").write_text(f"from .helper import forgotten\n{loss}")
    assert [part.name for part in Parts.read(folder).own] == ["a"]


def test_an_error_of_an_import_is_one_line_that_names_the_part(folder):
    path = write(folder, "mine")
    path.write_text("import no_such_module\n" + path.read_text())
    known = Parts.read(folder)
    known.trust()
    with pytest.raises(PassbandError) as error:
        known.get("loss", "mine").load()
    assert str(error.value) == (
        "loss 'mine' of parts/mine.py, line 4: its import fails: ModuleNotFoundError: No module "
        "named 'no_such_module'"
    )


def test_only_the_text_of_a_part_runs(folder):
    """Compiled code beside it has no digest, and nobody can read it."""
    file = write(folder, "mine", 1)
    compiled = compile(LOSS.format(name="mine", value=2), str(file), "exec")
    cached = Path(importlib.util.cache_from_source(str(file)))
    cached.parent.mkdir()
    never_checked = (1).to_bytes(4, "little") + bytes(8)
    cached.write_bytes(importlib.util.MAGIC_NUMBER + never_checked + marshal.dumps(compiled))
    (folder / "beside").mkdir()
    (folder / "beside" / "__init__.py").write_text("value = 1")
    (folder / "other.py").write_text(f"from . import beside\n{LOSS.format(name='other', value=1)}")
    known = Parts.read(folder)
    known.trust()
    assert known.get("loss", "mine").load()(None, None, None) == 1
    with pytest.raises(PassbandError, match=r"^loss 'other' of parts/other.py.* 'beside'"):
        known.get("loss", "other").load()


@pytest.mark.parametrize("raised", ["SystemExit(0)", "GeneratorExit", "Mine"])
def test_a_part_ends_no_process_in_silence(folder, raised):
    write(folder, "mine", "exit(0)")
    (folder / "other.py").write_text(
        f"{LOSS.format(name='other', value=1)}\nclass Mine(BaseException): ...\nraise {raised}\n"
    )
    known = Parts.read(folder)
    known.trust()
    with pytest.raises(PassbandError, match=r"^loss 'other' of parts/other.py.* import fails: "):
        known.get("loss", "other").load()
    part = known.get("loss", "mine")
    with pytest.raises(PassbandError, match=r"^loss 'mine' of parts/mine.py.*: SystemExit: 0$"):
        part.call(part.load(), None, None, None)
