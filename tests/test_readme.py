"""What README.md and docs/ promise is there."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

from passband import dataset, store, table
from passband.config import Study
from passband.grid import Condition, batches, conditions
from passband.scores import OUTCOMES, dice

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "docs" / "pilot" / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "benchmarks" / "README.md",
    ROOT / "results" / "README.md",
]


def blocks(language):
    """The README's code blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.M | re.S)


# The rule graph


def graph(text):
    """Return a mermaid flowchart's nodes and edges by name, and its direction.

    Snakemake numbers nodes, and with them picks colours, in an order that changes between runs.
    """
    names = dict(re.findall(r"^\s*(id\d+)\[(.+)\]$", text, re.M))
    edges = re.findall(r"^\s*(id\d+) --> (id\d+)$", text, re.M)
    return (
        re.search(r"^flowchart \w+$", text, re.M)[0],
        sorted(names.values()),
        sorted((names[a], names[b]) for a, b in edges),
    )


@pytest.mark.slow
def test_the_rule_graph_is_drawn_from_the_snakefile():
    (shown,) = blocks("mermaid")
    process = subprocess.run(
        [sys.executable, "-m", "snakemake", "--rulegraph", "mermaid-js"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert process.returncode == 0, process.stderr
    found = graph(process.stdout)
    assert ("train", "evaluate") in found[2]
    assert graph(shown) == found, "put `snakemake --rulegraph mermaid-js` into README.md again"


# Links and commands


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    targets = re.findall(r"\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)", text)
    local = {t.partition("#")[0] for t in targets if not re.match(r"[a-z]+:|#", t)}
    assert sorted(t for t in local if not (page.parent / t).exists()) == []


def test_every_make_command_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.M))
    # In code, or in the comment that says how the numbers came about; not the verb "make".
    code = blocks("") + re.findall(r"`([^`\n]+)`", README) + re.findall(r"<!--.*?-->", README)
    named = set(re.findall(r"\bmake ([a-z]+)", "\n".join(code)))
    assert {"demo", "test"} <= named
    assert named <= targets


@pytest.mark.slow
def test_one_command_makes_every_picture(tmp_path):
    """From the root of a clone in which the demo has run."""
    (tmp_path / "results/demo").mkdir(parents=True)
    (tmp_path / "results/demo/figures").symlink_to(ROOT / "docs/images")
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "docs/pictures.py", tmp_path / "docs")
    subprocess.run([sys.executable, "docs/pictures.py"], cwd=tmp_path, check=True, timeout=120)
    made = {path.name: path for path in (tmp_path / "docs/images").iterdir()}
    assert set(made) == {path.name for path in (ROOT / "docs/images").iterdir()}
    for name, path in made.items():
        assert path.stat().st_size < 600_000
        size, committed = (
            plt.imread(file).shape[:2] for file in (path, ROOT / "docs/images" / name)
        )
        assert size == pytest.approx(committed, rel=0.1)


# The example


def make_table(path):
    """Write a table of two networks' worth of random counts in the demo's grid; return M."""
    grid = {
        "defocus_nm": [5, 20],
        "cs_um": [1.2, 60],
        "aperture_mrad": [10],
        "dose_e_per_A2": [100, 1000],
    }
    ids = [condition.id for condition in conditions(grid)]
    cells, counts = [], np.random.default_rng(0).integers(1, 1000, (len(ids), 2, 1, len(ids), 3, 3))
    (batch,) = batches(2, 2).items()
    for id, values in zip(ids, counts, strict=True):
        record = {
            "counts": (("replica", "test_specimen", "test", "structure", "outcome"), values),
            "val_loss": ("replica", [0.5, 0.4]),
            "best_epoch": ("replica", [1, 2]),
        }
        dataset = xr.Dataset(
            record,
            {
                "replica": batch[1],
                "test_specimen": ["gold"],
                "test": ids,
                "outcome": list(OUTCOMES),
            },
        )
        file = path.parent / "records" / f"{id}.zarr.zip"
        of = {"specimen": "gold", "architecture": "compact-w4-d2", "condition": id}
        store.write(dataset, file, store.RECORD, of)
        cells.append(table.Cell("gold", "compact-w4-d2", id, tuple(batch[1]), str(file)))
    table.aggregate(cells, ids, ["gold"], path, {"study": "demo"})
    return dice(counts).mean((1, 2, 4))


def test_the_example_reads_a_table(tmp_path, capsys):
    example, _ = blocks("python")
    assert len([line for line in example.splitlines() if line and line[0] != "#"]) == 5
    there = "results/demo/table.zarr"
    assert example.count(there) == 1
    path = tmp_path / "table.zarr"
    M = make_table(path)
    found = {}
    exec(example.replace(there, path.as_posix()), found)  # the README's own code
    np.testing.assert_allclose(found["M"].values, M, rtol=1e-6)
    # Networks of the first defocus, tested under each defocus; defocus is the slowest axis.
    expected = [M[:4, :4].mean(), M[:4, 4:].mean()]
    printed = [float(value) for value in re.findall(r"\d\.\d+", capsys.readouterr().out)]
    np.testing.assert_allclose(printed, expected, rtol=1e-5)
    cube = found["cube"]
    assert dict(cube.sizes) == {
        f"{end}_{axis}": n
        for end in ("train", "test")
        for axis, n in (("defocus_nm", 2), ("cs_um", 2), ("aperture_mrad", 1), ("dose_e_per_A2", 2))
    }
    cell = {"train_defocus_nm": 20, "train_dose_e_per_A2": 100, "test_cs_um": 60}
    cell |= {"train_cs_um": 1.2, "test_defocus_nm": 5, "test_dose_e_per_A2": 1000}
    assert cube.sel(cell).values.item() == pytest.approx(M[4, 3], rel=1e-6)


def test_the_example_opens_images(tmp_path, camera, make_split):
    """In three lines, from the file that the command above it makes."""
    _, example = blocks("python")
    (path,) = re.findall(r'"(results/demo/images/.+\.zarr)"', example)
    assert f"snakemake --cores all {path}\n" in README
    id = path.removesuffix(".zarr").rpartition("/")[2]
    assert id in [condition.id for condition in Study().test_conditions]
    images = dataset.images(camera, make_split(2, "test"), Condition.parse(id))
    store.write(images, tmp_path / path, store.IMAGES, {})
    code = example.replace("results/", f"{tmp_path.as_posix()}/results/")
    assert len(ast.parse(code).body) == 3
    found = {}
    exec(code, found)  # the README's own code
    plt.close("all")
    np.testing.assert_array_equal(found["images"].counts, images.counts)


# The pilot


def test_the_pilots_numbers_are_those_of_its_account():
    account = (ROOT / "docs" / "pilot" / "README.md").read_text(encoding="utf-8")
    goals = re.findall(
        r"^\| \S+, gold \| (\w+) left out, \w+ \| (R²|ρ) ≥ [\d.]+ \| ([\d.]+) \|", account, re.M
    )
    text = " ".join(README.split())

    def between(score, *axes):
        values = [float(value) for axis, name, value in goals if name == score and axis in axes]
        return f"{min(values):.3f} to {max(values):.3f}"

    lens = "defocus", "Cs"
    assert f"R² is {between('R²', *lens)} and Spearman's ρ {between('ρ', *lens)}, better" in text
    assert f"aperture left out R² is {between('R²', 'aperture')}: the" in text
