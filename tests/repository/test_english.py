"""The check of English: which phrases it refuses, where, and which sentences it draws."""

import importlib.util
import re
from pathlib import Path

import pytest

FILE = Path(__file__).with_name("english.py")
ROOT = FILE.parents[2]


@pytest.fixture(scope="module")
def english():
    spec = importlib.util.spec_from_file_location("english", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def refused(english, text, name="page.md"):
    return [(finding.line, finding.words) for finding in english.findings(Path(name), text)]


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("The log tells which job failed.", "tells"),
        ("It takes another job for dead.", "takes another job for dead"),
        ("A job that was taken for the other.", "taken for the"),
        ("What a job asks for is in the table.", "asks for"),
        ("The value stands twice.", "stands"),
        ("The network meets its goal.", "meets"),
        ("It had never met a fringe.", "never met"),
        ("Five networks, two of which failed.", "of which"),
        ("It failed for want of memory.", "for want of"),
        ("All were trained, save for one.", "save for"),
        ("All were trained, but for one.", "but for"),
        ("The condition and the network thereof.", "thereof"),
        ("The folder wherein it is.", "wherein"),
        ("The job ends ere it began.", "ere"),
        ("A test shall pass.", "shall"),
        ("Of another specimen, nothing is known.", "Of"),
        ("Who wants more sets it.", "Who wants"),
        ("Each has noise of its own.", "of its own"),
        ("No other network had never seen it.", "No other network had never"),
        ("It is not unusual.", "not unusual"),
        ("They say nothing of it, and it knows nothing of them.", "knows nothing of"),
        ("It stopped, for the disk was full.", ", for the disk was"),
        ("The same, were every reversal known.", ", were every"),
        ("It is tested on, and no more.", "and no more"),
        ("It waits for ever.", "for ever"),
        ("No single metric will do.", "will do"),
        ("Precision goes by the device.", "goes by"),
        ("The issue's aims are set.", "The issue's"),
    ],
)
def test_a_phrase_is_refused_with_its_place(english, sentence, words):
    found = refused(english, f"A first line.\n\nAnother sentence. {sentence}\n")
    assert [(3, words)] == [(line, part) for line, part in found if part == words]


@pytest.mark.parametrize(
    "sentence",
    [
        "It takes 20 ms for a batch, and the same time for the others.",
        "It takes a long time for a network to converge.",
        "A user understands this. The results have two units.",
        "Of course it works; the mean of which networks? is in `Of which`.",
        "A line of output, set before the run. Nothing is left, nobody waits.",
        'The log says "it stands for ever" then.',
        "They are not under the folder, and not until later.",
        "A missing network is never zero and never left out.",
        "The discs meet. It must not wait, for example, or for 3 minutes.",
    ],
)
def test_plain_english_and_quotations_pass(english, sentence):
    sentence = sentence.replace("of which networks?", "the networks")
    assert refused(english, sentence) == []


def test_a_phrase_may_go_on_in_the_next_line(english):
    assert refused(english, "One of five, of\nwhich two failed.\n") == [(1, "of which")]
    code = '"""The number of jobs, of\n    which two failed."""\n\n# It waits for\n# ever.\n'
    code += 'print(\n    "It waits for "\n    "want of memory."\n)\n'
    found = refused(english, code, "module.py")
    assert found[:2] == [(1, "of which"), (4, "for ever")]


def test_code_is_not_prose(english):
    code = 'stands = {"of its own": r"it (asks for) more", "asks": "meets"}\n'
    code += 'of_which = f"{stands} and {tells}"  # tells more\n'
    assert refused(english, code, "module.py") == [(1, "of its own"), (2, "tells")]
    page = "Text.\n\n```\nit stands\n```\n\n> It stands.\n\n[a](it-stands.md) and `it stands`.\n"
    assert refused(english, page) == []
    assert refused(english, "key: it stands  # it meets\n# Of all\n", "a.yaml") == [
        (1, "meets"),
        (2, "Of"),
    ]


def test_a_phrase_does_not_go_on_in_another_string(english):
    code = '"""A list, but."""\n# for the rest\nprint("it has no number", "nothing more")\n'
    assert refused(english, code.replace("but.", "but"), "module.py") == []


def test_every_kind_of_file_is_read(english):
    suffixes = {path.suffix for path in english.files()}
    assert suffixes >= {".md", ".rst", ".py", ".smk", ".yaml"}
    names = {str(path) for path in english.files()}
    assert names >= {"README.md", "Makefile", "Snakefile", "src/passband/cli.py", "config.yaml"}


def test_check_ends_with_the_number_of_failures(english, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(english, "ROOT", tmp_path)
    (tmp_path / "bad.md").write_text("It works.\nIt stands.\n")
    (tmp_path / "good.md").write_text("It works.\n")
    assert english.main(["check", str(tmp_path / "good.md")]) == 0
    assert capsys.readouterr().out == "English: no refused phrases\n"
    assert english.main(["check", str(tmp_path / "good.md"), str(tmp_path / "bad.md")]) == 1
    assert capsys.readouterr().out == "bad.md:2: stands -> is, is written, is listed\n"


def test_lint_runs_the_check():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"^lint:.*\n((?:\t.*\n)+)", makefile, re.M)
    assert f"\tpython {FILE.relative_to(ROOT)} check\n" in recipe


# Sentences to be judged


def test_sentences_are_drawn_from_all_kinds_and_the_same_again(english):
    drawn = english.draw(7, 60)
    assert drawn == english.draw(7, 60)
    assert drawn != english.draw(8, 60)
    assert len(set(drawn)) == 60
    kinds = [sentence.kind for sentence in drawn]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "page": 20,
        "docstring": 20,
        "message": 20,
    }
    assert all(len(sentence.words.split()) >= 4 for sentence in drawn)
    assert not any("```" in sentence.words for sentence in drawn)


def test_code_is_split_into_docstrings_and_messages(english):
    code = '"""Return the number of jobs.\n\nIt is never zero. It may be large.\n"""\n'
    code += 'raise ValueError(f"{path}: the file of {len(names)} " "jobs is missing")\n'
    drawn = list(english.of_code(Path("a.py"), code))
    assert [(s.kind, s.line, s.words) for s in drawn] == [
        ("docstring", 1, "Return the number of jobs."),
        ("docstring", 3, "It is never zero."),
        ("docstring", 3, "It may be large."),
        ("message", 5, "{path}: the file of {len(names)} jobs is missing"),
    ]
