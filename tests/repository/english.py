"""The check of English: plain words in pages, docstrings, comments, messages and log lines.

    python tests/repository/english.py check [FILE ...]      # used by `make lint`
    python tests/repository/english.py count                 # how many, by folder
    python tests/repository/english.py draw --seed 0         # 60 sentences for a reader to judge

`check` prints `file:line: words -> advice` for each phrase that a reader whose first language is
not English would stumble over, and exits with 1 if there is any. Code and quotations are skipped:
what is in backticks or in double quotation marks, block quotes, and the braces of an f-string.
"""

import argparse
import ast
import io
import random
import re
import subprocess
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]

NOT_TIME = r"(?!\w*(?:time|second|minute|hour|memory|long|space|room|place|step)\w*\b)"

#: Refused phrases, and what to write instead. Words in a pattern may be on different lines.
REFUSED = {
    r"tells?|telling": "shows, says, distinguishes",
    rf"(?:takes?|taken|taking|took) (?:{NOT_TIME}[a-z]\S* ){{0,3}}for "
    r"(?:dead|true|more|an?|the|it|that|another|particle)": "assumes that … is",
    r"ask(?:s|ed|ing)? for": "requests, needs, uses",
    r"stands?|stood|standing": "is, is written, is listed",
    r"meets|(?:to|must|can|may|not|never) meet|(?:never|not|had|has|have) met": (
        "reaches, sees, gets"
    ),
    r"of which|of whom": "start a new sentence",
    r"for (?:want|lack) of": "without, because there is no",
    r"save for|save that|but for|(?:nothing|none|all|any) but": "except, only",
    r"(?:there|where|here)(?:of|in|by|from|to|upon|with|after|unto)": "name the thing",
    r"hence|whence|thence|hither(?:to)?|thither|henceforth|forthwith": "so, from there",
    r"ere|lest|albeit|n[ao]ught|aught|oft|nigh|amid(?:st)?|whilst|amongst|unto|upon": "before, on",
    r"notwithstanding|inasmuch|insofar|perforce|likewise|in vain|stead": "a common word",
    r"shall": "will, must",
    r"mend(?:s|ed|ing)?": "correct, repair",
    r"(?-i:Of)(?! course)": "begin with the subject: 'The x of y …'",
    r"(?-i:Who) [a-z]+s": "to …, set …",
    r"of (?:its|their|his|your) own": "its own …",
    r"(?:no|nobody|none|never|not|cannot) (?:(?!and|or|but)\w+ ){0,4}"
    r"(?:never|nobody|nothing|none)": "one negative",
    r"not (?:un(?!der|i|til|less)\w+|without|nothing)": "say it positively",
    r"knows? nothing of|says? nothing (?:of|about)|said nothing": "does not depend on, has no …",
    r"(?:,|:) for (?:it|they|there|this|that|these|those|all|no|none|(?:the|its|an?) \w+) "
    r"(?:is|was|are|were|has|had|have|would|will|may|can|being)|for (?:its|the) (?:\w+ )+being": (
        "because"
    ),
    r"(?:, (?:were|should)|(?-i:Should|Were)) (?:an?|the|it|they|there|this|every|each)": "if",
    r"and no more|, no more": "only",
    r"for ever": "for all time",
    r"will do|would do": "is enough",
    r"go(?:es)? by|went by": "depends on",
    r"to be held|held against|to be had": "compare with",
    r"what (?:it|this|that|they) comes? to": "how much it is",
    r"the issue'?s?|set beforehand|was hoped for": "the reader's subject, not the project's making",
}
PATTERNS = [
    (re.compile(rf"\b(?:{pattern})\b".replace(" ", r"\s+"), re.IGNORECASE), advice)
    for pattern, advice in REFUSED.items()
]

PYTHON = {".py", ".smk", ""}
COMMENTED = {".yaml", ".yml", ".toml", ".sh"}
#: Not checked: what was written about earlier versions, and files that are about these words.
SKIPPED = {"CHANGELOG.md", "LICENSE", "tests/repository/english.py"} | {
    "tests/repository/test_english.py"
}


class Finding(NamedTuple):
    path: Path
    line: int
    words: str
    advice: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.words} -> {self.advice}"


# Prose, at its place in the file: everything else is blanks, so that lines are still counted


def blank(text: str) -> str:
    return re.sub(r"\S", " ", text)


def of_python(text: str) -> str:
    """Return the comments and the strings of two words or more. All other text is blank."""
    lines = text.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    kept, fstring, depth = [], 0, 0
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        kind = tokenize.tok_name[token.type]
        start = starts[token.start[0] - 1] + token.start[1]
        end = starts[token.end[0] - 1] + token.end[1]
        if kind == "FSTRING_START":  # since Python 3.12, an f-string is several tokens
            fstring, depth = (start, 1) if not depth else (fstring, depth + 1)
        elif kind == "FSTRING_END":
            depth -= 1
        if kind in ("COMMENT", "STRING") and not depth:
            kept.append((kind, start, end))
        elif kind == "FSTRING_END" and not depth:
            kept.append(("STRING", fstring, end))
    found, last = [], 0
    for kind, start, end in kept:
        part = text[start:end]
        if kind == "COMMENT":
            part = re.sub(r"^#+:?", lambda m: blank(m[0]), part)
        else:
            part = unquoted(part)
        # Code between two strings, such as a comma, ends the phrase: NUL is neither word nor space.
        found += [re.sub(r"\S", "\0", text[last:start]), part]
        last = end
    return "".join([*found, blank(text[last:])])


def unquoted(literal: str) -> str:
    """Return a string literal's content if it is prose, at its place."""
    match = re.match(r"([A-Za-z]*)('''|\"\"\"|'|\")", literal)
    prefix, quote = match.groups()
    inside = literal[match.end() : -len(quote)]
    if "r" in prefix.lower() or not re.search(r"[A-Za-z]\s+\S", inside):
        return blank(literal)
    inside = inside.replace("\\n", "  ").replace("\\t", "  ")
    if "f" in prefix.lower():
        inside = re.sub(r"\{[^{}]*\}", lambda m: blank(m[0]), inside)
    end = "\0" if len(quote) == 3 else " "
    return " " * match.end() + inside + end * len(quote)


def of_comments(text: str) -> str:
    """Return what is behind the `#` in YAML, TOML and shell files. All other text is blank."""

    def line(source: str) -> str:
        match = re.search(r"(?:^|\s)#+(?=\s|$)", source)
        start = match.end() if match else len(source)
        return blank(source[:start]) + source[start:]

    return "\n".join(line(source) for source in text.split("\n"))


def of_page(text: str) -> str:
    """Return Markdown or reStructuredText without blocks of code, quotes and link targets."""
    for pattern in (
        r"^```.*?^```$",
        r"^> .*$",
        r"<!--.*?-->",
        r"``.+?``",
        r"\]\([^)\s]*\)",
        r"\{\{.*?\}\}",
    ):
        text = re.sub(pattern, lambda m: blank(m[0]), text, flags=re.M | re.S)
    return text


def prose(path: Path, text: str) -> str:
    """Return a file's text in which everything except the sentences is blank."""
    if path.suffix in (".md", ".rst"):
        return of_page(text)
    if path.name == "Makefile" or path.suffix in COMMENTED:
        return of_comments(text)
    return of_python(text)


def without_code(text: str) -> str:
    """Replace by blanks what is in backticks, and quotations of up to 200 characters."""
    for pattern in (r"`[^`]+`", r"“[^”]*”", r"(?<!\w)\"[^\"\n]{1,200}\"(?!\w)"):
        text = re.sub(pattern, lambda m: blank(m[0]), text)
    return text


def findings(path: Path, text: str) -> list[Finding]:
    """Return the refused phrases of a file, in the order of the file."""
    text = without_code(prose(path, text))
    found = []
    for pattern, advice in PATTERNS:
        for match in pattern.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(Finding(path, line, " ".join(match[0].split()), advice))
    return sorted(found, key=lambda finding: finding.line)


def files() -> list[Path]:
    """Return the repository's files that have sentences, relative to the root of the repository."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    named = (Path(name) for name in listed.splitlines() if name not in SKIPPED)
    return sorted(
        path
        for path in named
        if (path.suffix in PYTHON - {""} | COMMENTED | {".md", ".rst"})
        or path.name in ("Makefile", "Snakefile")
        if (ROOT / path).is_file() and not (ROOT / path).is_symlink()
    )


def read(path: Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def check(paths: list[Path]) -> list[Finding]:
    return [finding for path in paths for finding in findings(path, read(path))]


# Sentences to be judged


class Sentence(NamedTuple):
    kind: str
    path: Path
    line: int
    words: str


def sentences(kind: str, path: Path, line: int, text: str) -> Iterator[Sentence]:
    """Split a text into its sentences of four words or more."""
    for paragraph in re.finditer(r"[^\n](?:[^\n]|\n(?!\s*\n|\s*[-*|#]\s?|\s*\d+\. ))*", text):
        if paragraph[0].lstrip().startswith(("|", "#", "!", "    ")):
            continue  # tables, headings, pictures and blocks of code
        words = " ".join(paragraph[0].split())
        at = line + text.count("\n", 0, paragraph.start())
        for sentence in re.split(r"(?<=[a-z0-9)`*][.!?])\s+(?=[A-Z*`\"])", words):
            sentence = sentence.lstrip("-* ")
            if len(re.findall(r"(?<!\S)[A-Za-z]{2,}", sentence)) >= 4:
                yield Sentence(kind, path, at, sentence)


def written(node: ast.expr) -> str:
    """Return the text of a string or f-string, expressions in braces."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    return "".join(
        f"{{{ast.unparse(part.value)}}}" if isinstance(part, ast.FormattedValue) else written(part)
        for part in node.values
    )


def of_code(path: Path, text: str) -> Iterator[Sentence]:
    """Yield the sentences of docstrings and of all other strings, which are mostly messages."""
    tree = ast.parse(text)
    inner = set()  # docstrings, and the pieces of f-strings
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node)
            if docstring is not None:
                inner.add(id(node.body[0].value))
                yield from sentences("docstring", path, node.body[0].lineno, docstring)
        if isinstance(node, ast.JoinedStr):
            inner |= {id(part) for part in ast.walk(node) if part is not node}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant | ast.JoinedStr) and id(node) not in inner:
            yield from sentences("message", path, node.lineno, written(node))


@cache
def all_sentences() -> list[Sentence]:
    """Return all sentences of pages, docstrings and messages."""
    found = []
    for path in files():
        if path.suffix in (".md", ".rst"):
            found += sentences("page", path, 1, of_page(read(path)))
        elif path.suffix == ".py" and path.parts[0] in ("src", "workflow", "docs", "benchmarks"):
            found += of_code(path, read(path))
    return found


def draw(seed: int, number: int) -> list[Sentence]:
    """Return random sentences, a third each from pages, from docstrings and from messages."""
    found = all_sentences()
    chance = random.Random(seed)
    kinds = ("page", "docstring", "message")
    sizes = {kind: number // 3 + (k < number % 3) for k, kind in enumerate(kinds)}
    return [
        sentence
        for kind, size in sizes.items()
        for sentence in chance.sample([one for one in found if one.kind == kind], size)
    ]


def room(path: Path) -> str:
    """Return the folder that a file is counted in: a room of the package, or a top folder."""
    depth = 3 if path.parts[0] == "src" else 1
    return "/".join(path.parts[:-1][:depth]) or "."


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check", help="print refused phrases").add_argument(
        "files", nargs="*", type=Path, help="the whole repository if none is given"
    )
    commands.add_parser("count", help="print the number of refused phrases by folder")
    drawing = commands.add_parser("draw", help="print random sentences")
    drawing.add_argument("--seed", type=int, default=0)
    drawing.add_argument("--number", type=int, default=60)
    options = parser.parse_args(arguments)
    if options.command == "draw":
        for k, one in enumerate(draw(options.seed, options.number), 1):
            print(f"{k}. [{one.kind}] {one.path}:{one.line}\n   {one.words}\n")
        return 0
    if options.command == "count":
        counts = Counter(room(finding.path) for finding in check(files()))
        print("\n".join(f"{n:5} {name}" for name, n in counts.most_common()))
        return 0
    found = check([path.absolute().relative_to(ROOT) for path in options.files] or files())
    print("\n".join(map(str, found)) if found else "English: no refused phrases")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
