"""Declarations of parts, read from files without running them."""

import ast
import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from passband import PassbandError
from passband.parts import PAIR, reading


def written(folder: Path, text: str, name: str = "mine") -> Path:
    (folder / "parts").mkdir(exist_ok=True)
    file = folder / "parts" / f"{name}.py"
    file.write_text(text)
    return file


HEAD = "import no_such_module\nfrom passband.parts import PAIR, figure, loss, material, metric\n"


def test_a_declaration_is_read_without_importing_its_file(tmp_path):
    text = (
        f"{HEAD}open('mark', 'w')\n\n@metric(PAIR, units='bits')\n"
        "def same_sign(pair):\n    'Says how often T has the same sign.\\n\\nMore.'\n"
    )
    (part,) = reading.read(written(tmp_path, text))
    assert (part.kind, part.name, part.attribute, part.line) == (
        "metric",
        "same_sign",
        "same_sign",
        5,
    )
    assert part.declaration.of == PAIR
    assert part.declaration.units == "bits"
    assert part.doc == "Says how often T has the same sign."
    assert not Path("mark").exists()
    assert "no_such_module" not in sys.modules


@pytest.mark.parametrize(
    "head",
    [
        "from passband.parts import loss\n@loss()",
        "from passband.parts import loss\n@loss",
        "from passband.parts import *\n@loss()",
        "from passband.parts import loss as training\n@training()",
        "from passband import parts\n@parts.loss()",
        "import passband.parts\n@passband.parts.loss()",
        "import passband.parts as p\n@p.loss()",
    ],
)
def test_a_decorator_is_known_by_what_the_file_imports(tmp_path, head):
    (part,) = reading.read(written(tmp_path, f"{head}\ndef my_loss(logits, mask, settings): ...\n"))
    assert (part.kind, part.name) == ("loss", "my-loss")


def test_what_is_no_part_of_passband_is_none(tmp_path):
    text = "from elsewhere import loss\n\n@loss()\ndef f(): ...\n\n@property\ndef g(self): ...\n"
    assert reading.read(written(tmp_path, text)) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("@metric(PAIR\n", "parts/mine.py, line 3: is no Python: '(' was never closed"),
        (
            "@metric()\ndef f(pair): ...",
            "parts/mine.py, line 3: metric: of, its first argument, is missing",
        ),
        (
            "@metric(PAIR, colour=1)\ndef f(pair): ...",
            "parts/mine.py, line 3: metric: colour: is unknown; allowed:",
        ),
        (
            "@metric('both')\ndef f(pair): ...",
            "parts/mine.py, line 3: metric: of = 'both': must be SINGLE or PAIR",
        ),
        (
            "@metric(PAIR, units=1)\ndef f(pair): ...",
            "parts/mine.py, line 3: metric: units = 1: must be text",
        ),
        (
            "@metric(PAIR, units=str(1))\ndef f(pair): ...",
            "parts/mine.py, line 3: metric: units = str(1): must be written out",
        ),
        (
            "@metric(TRAIN)\ndef f(pair): ...",
            "parts/mine.py, line 3: metric: TRAIN: is not imported from passband.parts",
        ),
        (
            "@metric(PAIR, of='pair')\ndef f(pair): ...",
            "parts/mine.py, line 3: metric: of: is given twice",
        ),
        (
            "@loss(**{'name': 'a'})\ndef f(): ...",
            "parts/mine.py, line 3: loss: **: arguments must be written out",
        ),
        (
            "@loss(name='../f')\ndef f(): ...",
            "parts/mine.py, line 3: loss: name = '../f': must be 1 to 40 letters",
        ),
        ("@loss(name=" + "-" * 5000 + "1)\ndef f(): ...", "parts/mine.py: is no Python"),
        (
            "from passband.parts import metrics\n",
            "parts/mine.py, line 3: metrics: is no name of passband.parts; did you mean metric?",
        ),
        (
            "@loss()\ndef f(logits, mask, settings): ...\n@metric(PAIR)\ndef f(pair): ...",
            "parts/mine.py, line 5: f: the file has two parts of this name",
        ),
        ("@metric(PAIR, 'a', 'b')\ndef f(pair): ...", "parts/mine.py, line 3: metric: takes"),
        (
            "@figure(caption='a', inputs=('oood',))\ndef f(matrices, width_cm): ...",
            "parts/mine.py, line 3: figure: inputs = 'oood': must be one of ood, table, ",
        ),
        (
            "@figure(caption='a', inputs=('ood', 'ood'))\ndef f(a, b, width_cm): ...",
            "parts/mine.py, line 3: figure: inputs = ('ood', 'ood'): must name each input once",
        ),
        (
            "@figure(caption='a', place='top')\ndef f(matrices, width_cm): ...",
            "parts/mine.py, line 3: figure: place = 'top': must be one of trained, results, ",
        ),
        (
            "@figure(caption='a', settings=('dpi',))\ndef f(matrices, width_cm): ...",
            "parts/mine.py, line 3: figure: settings = 'dpi': must be block.key of the study, or ",
        ),
        (
            "@figure(caption='a', version=0)\ndef f(matrices, width_cm): ...",
            "parts/mine.py, line 3: figure: version = 0: must be at least 1",
        ),
        (
            "@figure(caption=' ')\ndef f(matrices, width_cm): ...",
            "parts/mine.py, line 3: figure: caption = '': must say what the figure shows",
        ),
        (
            "@figure(caption='a')\ndef f(matrices): ...",
            "figure 'f' of parts/mine.py, line 3: takes matrices; must take matrices and width_cm",
        ),
        (
            "@loss()\ndef f(mask, logits, settings): ...",
            "loss 'f' of parts/mine.py, line 3: takes mask, logits and settings; must take logits, "
            "mask and settings, in this order",
        ),
        (
            "class Mine:\n    @metric(PAIR)\n    def f(self, pair): ...",
            "parts/mine.py, line 4: metric: f is no part; must be a function or class at the top",
        ),
        (
            "@metric(PAIR)\nasync def f(pair): ...",
            "parts/mine.py, line 3: metric: f is no part; must be a function or class at the top",
        ),
    ],
)
def test_a_wrong_declaration_is_one_line_with_file_and_line(tmp_path, text, said):
    with pytest.raises(PassbandError) as error:
        reading.read(written(tmp_path, HEAD + text))
    assert str(error.value).startswith(said)
    assert "\n" not in str(error.value)


def test_a_file_of_parts_that_is_too_large_or_no_text_is_refused(tmp_path):
    file = written(tmp_path, "x = 1\n" * 200_000)
    with pytest.raises(PassbandError, match=r"parts/mine.py: is larger than 200,000 bytes"):
        reading.read(file)
    file.write_bytes(b"\0\xff")
    with pytest.raises(PassbandError, match=r"parts/mine.py.*: is no Python"):
        reading.read(file)


@pytest.mark.parametrize("text", [f"@{'a.' * 900}a\n", f"@metric(PAIR, label={'-' * 900}1)\n"])
def test_what_is_nested_too_deeply_is_one_line(tmp_path, text):
    file = written(tmp_path, f"{HEAD}{text}def mine(pair): ...\n")
    with pytest.raises(PassbandError, match=r"^parts/mine.py: .* nested too deeply$"):
        reading.read(file)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a pipe")
def test_a_pipe_is_no_file_of_parts(tmp_path):
    os.mkfifo(tmp_path / "mine.py")
    with pytest.raises(PassbandError, match=r"^parts/mine.py: is no regular file$"):
        reading.read(tmp_path / "mine.py")


@pytest.mark.skipif(not os.path.exists("/proc/uptime"), reason="needs files of the system")
def test_a_link_to_a_file_of_the_system_is_no_file_of_parts(tmp_path):
    (tmp_path / "mine.py").symlink_to("/proc/uptime")
    with pytest.raises(PassbandError, match=r"^parts/mine.py: is no regular file$"):
        reading.read(tmp_path / "mine.py")


@pytest.mark.parametrize(
    "text", [f"{HEAD}x = 1\n", f"{HEAD}@metric('both')\ndef mine(pair): ...\n"]
)
def test_a_content_is_parsed_once_and_an_edit_again(tmp_path, text, monkeypatch):
    parsed = []

    def parse(text, **given):
        parsed.append(text)
        return compile(text, "mine.py", "exec", ast.PyCF_ONLY_AST)

    file = written(tmp_path, text)
    monkeypatch.setattr(ast, "parse", parse)
    for edit in (text, f"{text}# edited\n"):
        file.write_text(edit)
        for _ in range(2):
            with suppress(PassbandError):
                reading.read(file)
    assert parsed == [text.encode(), f"{text}# edited\n".encode()]
