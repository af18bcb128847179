"""The environments in envs/ agree with pyproject.toml."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]

#: What the package index and conda call differently.
CONDA_NAMES = {
    "cpu": {"torch": "pytorch"},
    "gpu": {"torch": "pytorch-gpu", "cupy-cuda12x": "cupy"},
}
#: Their builds differ by machine, so they are not pinned.
UNPINNED = {"torch", "torchvision"}


def requirements(texts: list[str]) -> dict[str, SpecifierSet]:
    parsed = [Requirement(text) for text in texts]
    return {canonicalize_name(r.name): r.specifier for r in parsed if r.name != "passband"}


DIRECT = requirements(PROJECT["dependencies"] + EXTRAS["grid"])
CONSTRAINTS = requirements(
    [
        line
        for line in (ROOT / "envs" / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
)


def environment(name: str) -> dict:
    return yaml.safe_load((ROOT / "envs" / f"{name}.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_conda_environment_lists_what_pyproject_does(name):
    expected = DIRECT | (requirements(EXTRAS["gpu"]) if name == "gpu" else {})
    expected = {CONDA_NAMES[name].get(key, key): value for key, value in expected.items()}
    found = dict(text.partition(" ")[::2] for text in environment(name)["dependencies"])
    assert found.pop("python") == "=3.11"
    assert found.pop("pip") == ""
    assert {key: SpecifierSet(value) for key, value in found.items()} == expected


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_conda_environment_uses_only_open_channels(name):
    assert environment(name)["channels"] == ["conda-forge", "bioconda"]


def test_python_of_the_environments_is_allowed():
    assert "3.11" in SpecifierSet(PROJECT["requires-python"])


def test_constraints_are_exact_and_hold_for_every_machine():
    for name, specifier in CONSTRAINTS.items():
        assert re.fullmatch(r"==[\w.]+", str(specifier)), name  # exact, without +cpu
        assert not name.startswith(("nvidia", "triton", "cupy")), name
    assert not CONSTRAINTS.keys() & (UNPINNED | {"passband"})


def test_constraints_cover_every_direct_dependency_within_its_range():
    direct = DIRECT | requirements(EXTRAS["test"]) | requirements(EXTRAS["dev"])
    direct |= requirements(EXTRAS["share"]) | requirements(EXTRAS["docs"])
    for name, specifier in direct.items():
        if name not in UNPINNED:
            assert name in CONSTRAINTS, f"{name} is not in envs/constraints.txt"
            (pin,) = CONSTRAINTS[name]
            assert Version(pin.version) in specifier, name
