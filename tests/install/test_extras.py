"""Each extra installs alone, in versions that the constraints allow, and can be imported."""

import tomllib
from itertools import product
from pathlib import Path

import pytest

from passband import extras

pytestmark = pytest.mark.install

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
EXTRAS = set(tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"])
#: What each extra is for. `cupy` imports without a GPU too.
MODULES = {
    "dev": ("importlinter", "pre_commit", "pyright", "ruff", "snakefmt"),
    "docs": ("jupytext", "myst_nb", "pydata_sphinx_theme", "sphinx"),
    "gpu": ("cupy",),
    "grid": extras.MODULES[extras.GRID],
    "micrographs": ("h5py", "rsciio"),
    "napari": extras.MODULES[extras.NAPARI],
    "parquet": ("pyarrow",),
    "share": ("bioimageio.spec", "onnx", "onnxscript"),
    "test": ("hypothesis", "pytest", "pytest_timeout", "xdist"),
}
#: Where each extra is added: the virtual environment and the container have `grid` already.
CASES = [("grid", "base"), *product(sorted(EXTRAS - {"grid"}), ("virtual", "container"))]


@pytest.mark.parametrize(("extra", "place"), CASES)
def test_an_extra_brings_what_it_is_for(extra, place, request):
    installed = request.getfixturevalue(place)
    for module in MODULES[extra]:
        installed.run(f"! python -c 'import {module}' 2>/dev/null")
    installed.add(extra)
    installed.run(f"{extra}/bin/python -m pip check")
    installed.run(f"{extra}/bin/python -c 'import {', '.join(MODULES[extra])}'")
    installed.run(f"rm -r {extra}")
