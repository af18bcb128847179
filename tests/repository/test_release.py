"""A release is tagged if all files agree on its version, and it and its wheel pass their tests."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.version import Version

ROOT = Path(__file__).parents[2]
#: The version in git, of which all but a tagged commit is a development.
HERE = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
#: The next one to be released.
VERSION = Version(HERE).base_version
PLACES = {
    "pyproject.toml": f'version = "{VERSION}"',
    "CITATION.cff": f"version: {VERSION}",
    "CHANGELOG.md": f"## {VERSION} ",
}
#: What the site has of the demo.
PAGES = "results/demo/report.html", "results/demo/explorer.html"
#: In place of the programs that build a release and test it. The file `broken` has what fails.
STUB = """#!/bin/sh
echo "$PASSBAND_WHEEL ${0##*/} $*" >> ran
[ "${0##*/}" = make ] || { mkdir dist; touch dist/passband.whl; }
[ ! -e broken ] || [ "$1" != "$(cat broken)" ]
"""


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=A person", "-c", "user.email=person@example.org"]
    return subprocess.check_output(["git", *who, *words], cwd=folder, text=True)


@pytest.fixture
def clone(tmp_path) -> Path:
    """A clean clone with the version set, which has only the files that a release reads."""
    folder = tmp_path / "clone"
    for name in [*PLACES, ".ci/release"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    for name in PLACES:
        text = (folder / name).read_text(encoding="utf-8")
        text = text.replace(HERE, VERSION).replace("## Unreleased", f"## {VERSION} – 2027-01-31")
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "results/demo").mkdir(parents=True)
    for page in PAGES:
        (folder / page).touch()
    (folder / ".gitignore").write_text("/ran\n/broken\n/dist\n/results\n")
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "all")
    for name in ("python", "make"):
        stub = tmp_path / "bin" / name
        stub.parent.mkdir(exist_ok=True)
        stub.write_text(STUB)
        stub.chmod(0o755)
    return folder


def release(clone: Path, version: str = VERSION) -> subprocess.CompletedProcess:
    who = {"NAME": "A person", "EMAIL": "person@example.org"}
    names = {f"GIT_COMMITTER_{key}": value for key, value in who.items()}
    environment = os.environ | names | {"PATH": f"{clone.parent / 'bin'}:{os.environ['PATH']}"}
    return subprocess.run(
        [clone / ".ci/release", version], env=environment, capture_output=True, text=True
    )


def test_a_release_is_built_tested_and_tagged(clone):
    done = release(clone)
    assert (done.returncode, done.stderr) == (0, "")
    ran = (clone / "ran").read_text().splitlines()
    assert ran == [
        " python -m build --outdir dist",
        " make docs",
        " make test-long",
        "dist/passband.whl make test-install",
    ]
    assert git(clone, "cat-file", "-t", f"v{VERSION}") == "tag\n"  # with who and when
    assert git(clone, "rev-list", "-n1", f"v{VERSION}") == git(clone, "rev-parse", "HEAD")
    assert "is tagged already" in release(clone).stderr


@pytest.mark.parametrize("target", ["test-long", "test-install"])
def test_a_version_that_fails_its_tests_is_not_tagged(clone, target):
    (clone / "broken").write_text(target)
    assert release(clone).returncode != 0
    assert git(clone, "tag") == ""


@pytest.mark.parametrize("version", ["", "v1.2.3", "1.2", "1.2.3rc1", "1.2.3 "])
def test_the_version_has_three_numbers(clone, version):
    assert refused(clone, version) == "give a version, as in make release VERSION=0.3.0"


def refused(clone: Path, version: str = VERSION) -> str:
    """Return why there is no release. It is one line, and nothing was built."""
    done = release(clone, version)
    assert (done.returncode, done.stdout) == (1, "")
    assert not (clone / "ran").exists()
    assert git(clone, "tag") == ""
    start, end = f"release {version}: " if version else "release: ", "\n"
    assert done.stderr.startswith(start)
    assert done.stderr.count(end) == 1
    return done.stderr.removeprefix(start).removesuffix(end)


def test_changes_and_other_branches_are_not_released(clone):
    (clone / "new").touch()
    assert refused(clone) == "git status is not clean; commit or remove the changes"
    (clone / "new").unlink()
    git(clone, "switch", "--quiet", "--create", "other")
    assert refused(clone) == "this is not the branch main"


@pytest.mark.parametrize("page", PAGES)
def test_the_site_of_a_release_has_the_finished_demo(clone, page):
    (clone / page).unlink()
    assert refused(clone) == f"there is no {page} for the site; run make demo"


@pytest.mark.parametrize("name", PLACES)
def test_every_file_has_the_version(clone, name):
    text = (clone / name).read_text(encoding="utf-8")
    assert PLACES[name] in text
    changed = text.replace(PLACES[name], PLACES[name].replace(VERSION, "7.8.9"), 1)
    (clone / name).write_text(changed, encoding="utf-8")
    git(clone, "commit", "--quiet", "--all", "--message", "another version")
    assert refused(clone) == f"{name} has the version '7.8.9'"


def test_outputs_of_what_is_not_released_have_a_version_of_their_own():
    """Their numbers may differ from those of the last release."""
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest, *older = re.findall(r"^## ([^ \n]+)", changes, re.M)
    if newest == "Unreleased":
        assert Version(HERE).is_devrelease
        assert Version(HERE) > Version(older[0])
    else:
        assert newest == HERE
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {HERE}\n" in citation


@pytest.mark.parametrize("name", ["tests", "wheel"])
def test_what_the_workflows_on_github_start_is_there(name):
    text = (ROOT / f".github/workflows/{name}.yml").read_text(encoding="utf-8")
    (job,) = yaml.safe_load(text)["jobs"].values()
    commands = "\n".join(step["run"] for step in job["steps"] if "run" in step)
    targets = re.findall(r"^make ([a-z-]+)", commands, re.M)
    scripts = re.findall(r"^\.ci/\w+", commands, re.M)
    assert targets or scripts
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert set(targets) <= set(re.findall(r"^([a-z-]+):", makefile, re.M))
    assert all(os.access(ROOT / script, os.X_OK) for script in scripts)
