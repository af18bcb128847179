"""Fixtures for the tests of scripts in docs."""

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs" / "scripts"


@pytest.fixture
def modules(monkeypatch) -> Callable[[str], ModuleType]:
    """Import a module of docs by its name."""
    monkeypatch.syspath_prepend(str(DOCS))
    return importlib.import_module
