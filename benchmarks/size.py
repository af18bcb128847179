"""Count what there is to read: the package, its tests, scripts, and the findings.

    python benchmarks/size.py             # seconds
    python benchmarks/size.py BEFORE .    # a column for each clone

Scripts are those of docs, of its site and of benchmarks. Code lines are neither docstring, comment
nor blank. No number of lines is an aim.

The study's own values are a parameter `own`, `own_values` or `written` that maps axes to values, or
that has the study's own specimen. A file has one importer if a single module or script of the
workflow imports it.
"""

import argparse
import ast
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
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


def read(*folders: Path) -> dict[Path, str]:
    """Return the Python files below folders that exist, without what is only linked there."""
    files = (path for folder in folders for path in sorted(folder.rglob("*.py")))
    return {path: path.read_text(encoding="utf-8") for path in files if not path.is_symlink()}


def lengths(sources: dict[Path, str]) -> dict[str, int]:
    """Return the numbers of some files, of their lines, and of their lines of code."""
    return {
        "files": len(sources),
        "lines": sum(len(source.splitlines()) for source in sources.values()),
        "code lines": sum(
            len(code_lines(source) - docstring_lines(ast.parse(source)))
            for source in sources.values()
        ),
    }


def count(root: Path) -> dict[str, int]:
    """Return the counts of a clone, by what is counted."""
    package = root / "src/passband"
    sources = read(root / "src")
    trees = {path: ast.parse(source) for path, source in sources.items()}
    findings = read(root / "findings")
    of_findings = {path: text for path, text in findings.items() if "tests" in path.parts}
    parts = {
        "src": sources,
        "tests": read(root / "tests"),
        "scripts": read(root / "docs", root / "benchmarks"),
        "findings": {path: text for path, text in findings.items() if path not in of_findings},
        "findings' tests": of_findings,
    }
    found = {
        f"{what} of {name}": number
        for name, part in parts.items()
        for what, number in lengths(part).items()
    }
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
    docstrings = sum(len(docstring_lines(tree)) for tree in trees.values())
    return found | {
        "docstring lines of src": docstrings,
        "functions outside config that take the study's own values": sum(map(takes_own, functions)),
        "functions outside config that take a study and its results": sum(
            {"study", "results"} <= set(names) for names in functions
        ),
        "files of src with one importer": sum(number == 1 for number in importers.values()),
        "lines of the longest file of src": max(len(s.splitlines()) for s in sources.values()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="*", type=Path, default=[ROOT], help="the clones to count")
    folders = parser.parse_args().folders
    counts = [count(folder.resolve()) for folder in folders]
    print(f"| what | {' | '.join(folder.resolve().name for folder in folders)} |")
    print("|---" * (1 + len(folders)) + "|")
    for what in counts[0]:
        print(f"| {what} | {' | '.join(f'{found[what]:,}' for found in counts)} |")


if __name__ == "__main__":
    main()
