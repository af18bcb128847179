"""Where the workflow is that belongs to the package."""

from pathlib import Path

import pytest

from passband import PassbandError, repository
from passband.config import load

ROOT = Path(__file__).resolve().parents[1]


def make_workflow(folder):
    (folder / "workflow/rules").mkdir(parents=True)
    (folder / "workflow/rules/common.smk").touch()
    (folder / "Snakefile").touch()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package in an environment, with another workflow in the working directory."""
    make_workflow(tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    folder = tmp_path / "lib" / "site-packages" / "passband"
    monkeypatch.setattr("passband.repository.__file__", str(folder / "__init__.py"))
    return folder


def test_the_workflow_is_that_of_the_packages_clone():
    assert repository.folder() == ROOT


def test_an_installed_package_uses_its_own_copy_first(package):
    make_workflow(package.parents[1])
    make_workflow(package / "files")
    assert repository.folder() == package / "files"


def test_the_working_directory_is_never_used(package):
    with pytest.raises(PassbandError, match="has no workflow") as caught:
        repository.folder()
    assert len(str(caught.value).splitlines()) == 1


def test_passbands_own_studies_have_the_names_of_their_files():
    assert {name: load(file).study.name for name, file in repository.studies().items()} == {
        name: name for name in repository.studies()
    }
