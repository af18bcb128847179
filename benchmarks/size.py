"""Count what there is to read in ``src``, beside an earlier count and what it should become.

    python benchmarks/size.py           # seconds
    python benchmarks/size.py FOLDER    # another clone

The earlier count is that of the commit 8b2400e. Code lines are neither docstring, comment nor
blank. The study's own values are a parameter `own`, `own_values` or `written` that maps axes to
values, or that has the study's own specimen. A file has one importer if a single module or script
of the workflow imports it.
"""

import argparse
import ast
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: What is counted, with the earlier count and two aims: first names, then fewer rooms on the way.
GOALS = {
    "lines of src": (53_125, 48_500, 46_000),
    "code lines": (31_431, 30_000, 28_500),
    "docstring lines": (14_513, 11_500, None),
    "functions outside config that take the study's own values": (55, 0, 0),
    "functions outside config that take a study and its results": (35, 0, 0),
    "files with one importer": (75, None, None),
    "lines of the longest file": (452, 450, 450),
}
_LAYOUT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


def docstring_lines(tree: ast.AST) -> set[int]:
    """Return the numbers of the lines that docstrings take."""
    lines: set[int] = set()
    for node in ast.walk(tree):
        kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        if isinstance(node, kinds) and ast.get_docstring(node, clean=False) is not None:
            lines.update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return lines


def code_lines(source: str) -> set[int]:
    """Return the numbers of the lines that have code or strings."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _LAYOUT:
            lines.update(range(token.start[0], token.end[0] + 1))
    return lines


def parameters(tree: ast.AST) -> Iterator[dict[str, str]]:
    """Yield the parameters of each function, with their annotations as text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            yield {a.arg: ast.unparse(a.annotation) if a.annotation else "" for a in given}


def takes_own(names: dict[str, str]) -> bool:
    """Return whether a function takes the study's own values beside what they belong to."""
    kinds = "Mapping[str, float]", "dict[str, float]", "Own", "tuple[Specimen"
    return any(
        kind in names.get(name, "") for name in ("own", "own_values", "written") for kind in kinds
    )


def imports(tree: ast.AST, modules: set[str]) -> set[str]:
    """Return the modules that a file imports."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{name.name}" for name in node.names}
            found |= inner & modules or {node.module}
    return found & modules


def count(root: Path) -> dict[str, int]:
    """Return the counts of a clone, by their names in :data:`GOALS`."""
    package = root / "src/passband"
    sources = {path: path.read_text(encoding="utf-8") for path in (root / "src").rglob("*.py")}
    trees = {path: ast.parse(source) for path, source in sources.items()}
    docs = {path: docstring_lines(tree) for path, tree in trees.items()}
    modules = {
        ".".join(path.relative_to(root / "src").with_suffix("").parts): path
        for path in sources
        if path.is_relative_to(package) and path.name != "__init__.py"
    }
    importers = dict.fromkeys(modules, 0)
    scripts = [ast.parse(path.read_text()) for path in (root / "workflow").rglob("*.py")]
    for tree in (*trees.values(), *scripts):
        for name in imports(tree, set(modules)):
            importers[name] += 1
    functions = [
        names
        for path, tree in trees.items()
        if not path.is_relative_to(package / "config")
        for names in parameters(tree)
    ]
    lengths = [len(source.splitlines()) for source in sources.values()]
    values = (
        sum(lengths),
        sum(len(code_lines(source) - docs[path]) for path, source in sources.items()),
        sum(map(len, docs.values())),
        sum(map(takes_own, functions)),
        sum({"study", "results"} <= set(names) for names in functions),
        sum(number == 1 for number in importers.values()),
        max(lengths),
    )
    return dict(zip(GOALS, values, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT, help="the clone to count")
    found = count(parser.parse_args().folder)
    print("| what | 8b2400e | aim | next aim | now |\n|---|---|---|---|---|")
    for what, goals in GOALS.items():
        cells = ("" if goal is None else f"{goal:,}" for goal in goals)
        print(f"| {what} | {' | '.join(cells)} | {found[what]:,} |")


if __name__ == "__main__":
    main()
