"""Docstrings are in Google's style, and their entries name what the code has."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = "src", "workflow", "benchmarks", "findings", "docs", "tests"
TITLES = "Args", "Attributes", "Returns", "Yields", "Raises"


def documented(tree: ast.AST) -> Iterator[tuple[ast.ClassDef | ast.FunctionDef, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and (text := ast.get_docstring(node)):
            yield node, text


def entries(text: str, title: str) -> list[str]:
    """Return the names that the entries of a section have."""
    section = re.search(rf"^{title}:\n((?:    .*\n|\n(?=    ))+)", text + "\n", re.M)
    heads = re.findall(r"^    (\S[^:]*):", section[1], re.M) if section else []
    return [name.strip().lstrip("*") for head in heads for name in head.split(",")]


def parameters(node: ast.ClassDef | ast.FunctionDef) -> set[str]:
    """Return the names of a function's parameters, or of what a class is made from."""
    if isinstance(node, ast.ClassDef):
        made = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
        return set().union(*map(parameters, made)) or attributes(node)
    given = node.args
    alone = [a for a in (given.vararg, given.kwarg) if a]
    return {a.arg for a in (*given.posonlyargs, *given.args, *given.kwonlyargs, *alone)}


def attributes(node: ast.ClassDef) -> set[str]:
    """Return the names that a class or its methods assign, and those of its methods."""
    found = {n.name for n in node.body if isinstance(n, ast.FunctionDef)}
    for inner in ast.walk(node):
        targets = inner.targets if isinstance(inner, ast.Assign) else []
        for target in [inner.target] if isinstance(inner, ast.AnnAssign) else targets:
            for name in ast.walk(target):
                if isinstance(name, ast.Name | ast.Attribute):
                    found.add(name.id if isinstance(name, ast.Name) else name.attr)
    return found


def objections(source: str) -> list[str]:
    """Return what is wrong with the docstrings of a file."""
    found = []
    for node, text in documented(ast.parse(source)):
        if re.search(r"^\w[\w ]*\n-{3,}$", text, re.M):
            found.append(f"{node.name}: a heading in numpy's style")
        unknown = set(entries(text, "Args")) - parameters(node)
        if isinstance(node, ast.ClassDef):
            unknown |= set(entries(text, "Attributes")) - attributes(node)
        found += [f"{node.name} has no {name}" for name in sorted(unknown)]
        found += [
            f"{node.name}: empty {t}"
            for t in TITLES
            if re.search(rf"^{t}:\n(?!    )", text + "\n", re.M)
        ]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("folder", FOLDERS)
def test_docstrings_are_in_googles_style_and_name_what_exists(folder):
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    wrong = {
        str(path.relative_to(ROOT)): found
        for path in files
        if (found := objections(path.read_text(encoding="utf-8")))
    }
    assert not wrong


def test_wrong_docstrings_are_found():
    source = '''
class Lens:
    """A lens.

    Attributes:
        cs: Spherical aberration [Å].
        energy, sign: Beam energy, and the sign of the defocus.
    """

    cs: float

    def __init__(self, energy):
        self.energy = energy


def phase(lens, q):
    """Return a phase.

    Args:
        lens: The lens.
        k: A frequency, such as
            this: one.

    Returns:
    """


def other(q):
    """Return a phase.

    Parameters
    ----------
    q : float
        A frequency.
    """
'''
    assert objections(source) == [
        "Lens has no sign",
        "phase has no k",
        "phase: empty Returns",
        "other: a heading in numpy's style",
    ]
