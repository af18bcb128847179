"""The provenance of a store."""

import subprocess

import pytest

from passband.storage import provenance


@pytest.fixture(autouse=True)
def _forget():
    provenance._git_revision.cache_clear()
    yield
    provenance._git_revision.cache_clear()


def test_the_revision_is_that_of_the_packages_clone_only(tmp_path, monkeypatch):
    """Neither the working directory nor a folder around the package tells the revision."""
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", tmp_path]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "theirs"], check=True)
    words = [*git, "describe", "--always", "--abbrev=12"]
    theirs = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
    monkeypatch.chdir(tmp_path)
    assert provenance._git_revision() != theirs
    installed = tmp_path / "lib" / "site-packages" / "passband"
    (installed / "files" / "workflow" / "rules").mkdir(parents=True)
    for name in ("Snakefile", "workflow/rules/common.smk"):
        (installed / "files" / name).touch()
    monkeypatch.setattr("passband.repository.__file__", str(installed / "__init__.py"))
    provenance._git_revision.cache_clear()
    assert provenance._git_revision() == "unknown"
