"""The notebooks of the docs: what they import, what they say if something is missing, and a run."""

import ast
import os
import re
import shutil
import sys
import types
from pathlib import Path

import pytest
from required import refuse

import passband
from passband.figures import style

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "docs/notebooks").glob("*.md"))
#: What a kernel has in which Passband is installed.
KNOWN = {*sys.stdlib_module_names, "IPython", "matplotlib", "numpy", "passband", "xarray"}
COLOURS = {style.OWN, style.OTHER, style.TRANSFER, style.TRUTH}

notebooks = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)


def cells(notebook: Path) -> list[str]:
    """Return the code of each cell, without its tags."""
    found = re.findall(r"^```\{code-cell\} python\n(.*?)^```$", notebook.read_text(), re.M | re.S)
    return [re.sub(r"\A(:.*\n)+", "", cell) for cell in found]


def test_there_are_three():
    assert [path.name[0] for path in NOTEBOOKS] == ["1", "2", "3"]


@notebooks
def test_cells_use_only_public_names(notebook):
    code = cells(notebook)
    assert len(code) >= 5
    for node in ast.walk(ast.parse("\n".join(code))):
        if isinstance(node, ast.Import):
            assert {each.name.partition(".")[0] for each in node.names} <= KNOWN
            assert not [each.name for each in node.names if each.name.startswith("passband.")]
        if isinstance(node, ast.ImportFrom):
            assert node.module.partition(".")[0] in KNOWN - {"passband"}
        if isinstance(node, ast.Attribute):
            assert not node.attr.startswith("_")
            if isinstance(node.value, ast.Name) and node.value.id == "passband":
                assert node.attr in passband.__all__


@notebooks
def test_colours_are_those_of_the_figures(notebook):
    used = set(re.findall(r"#[0-9A-F]{6}\b", "\n".join(cells(notebook))))
    assert used
    assert used <= COLOURS


@notebooks
def test_links_lead_to_files(notebook):
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", notebook.read_text())
    assert links
    assert [link for link in links if not (notebook.parent / link).exists()] == []


@notebooks
@pytest.mark.parametrize(
    ("installed", "line"),
    [
        (True, "there is no finished results/demo here: run `make demo` first"),
        (False, "this kernel has no Passband: see docs/install.md"),
    ],
)
def test_what_is_missing_is_one_line(notebook, installed, line, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    shown = types.SimpleNamespace(HTML=None)  # a kernel has IPython, and this process may not
    monkeypatch.setitem(sys.modules, "IPython.display", shown)
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(display=shown))
    if not installed:
        monkeypatch.setitem(sys.modules, "passband", None)
    with pytest.raises(SystemExit, match=f"^{re.escape(line)}$"):
        exec(cells(notebook)[0], {})


@pytest.mark.install
@notebooks
def test_a_notebook_runs_from_its_folder(notebook, tmp_path, monkeypatch):
    """A folder with a copy of the demo and of the notebook, as in a clone."""
    jupytext, nbclient = (pytest.importorskip(name) for name in ("jupytext", "nbclient"))
    if not (ROOT / "results/demo/report.html").exists():
        refuse("DEMO", "results/demo is not finished; run make demo")
    (tmp_path / "results").mkdir()
    (tmp_path / "results/demo").symlink_to(ROOT / "results/demo")
    shutil.copy(ROOT / "config.yaml", tmp_path)
    (folder := tmp_path / "docs/notebooks").mkdir(parents=True)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    opened = jupytext.read(notebook)
    resources = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(
        opened, timeout=900, kernel_name="python3", resources=resources
    ).execute()
    outputs = [output for cell in opened.cells for output in cell.get("outputs", [])]
    assert not [each.text for each in outputs if each.get("name") == "stderr"]
    assert sum("image/png" in each.get("data", {}) for each in outputs) >= 2
