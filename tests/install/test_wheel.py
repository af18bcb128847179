"""The wheel is the whole tool: it needs no clone, make, git or writable home.

It is built from the source distribution, or is the file PASSBAND_WHEEL, and is installed without
its dependencies into an empty environment, which finds them in the environment of the tests, but
does not find the clone.
"""

import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
BUILD = "import sys; from setuptools import build_meta as b; getattr(b, sys.argv[1])(sys.argv[2])"
#: What a stranger may have put into the working directory: files that leave a mark if they run.
TRAPS = "Snakefile", "workflow/Snakefile", "workflow/rules/common.smk", "passband/__init__.py"
CONDITION = "--defocus-nm=5", "--cs-um=1.2", "--aperture-mrad=16", "--dose-e-per-A2=1000"

pytestmark = [pytest.mark.install, pytest.mark.workflow]


def build(what, source, target):
    """Build a distribution as pip does, and return its file."""
    target.mkdir()
    words = [sys.executable, "-c", BUILD, f"build_{what}", str(target)]
    subprocess.run(words, cwd=source, check=True, capture_output=True)
    (file,) = target.iterdir()
    return file


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    if given := os.environ.get("PASSBAND_WHEEL"):
        return ROOT / given
    folder = tmp_path_factory.mktemp("build")
    sdist = build("sdist", ROOT, folder / "sdist")
    (folder / "source").mkdir()
    words = ["tar", "-xf", sdist, "-C", folder / "source", "--strip-components", "1"]
    subprocess.run(words, check=True)
    return build("wheel", folder / "source", folder / "wheel")


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """An environment with the wheel, whose packages are those of the tests."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install"]
    subprocess.run([*pip, "--quiet", "--no-index", "--no-deps", wheel], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    # Python ignores the .pth files of this second folder: one of them would lead to the clone.
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))
    return folder


@pytest.fixture(scope="module")
def package(environment):
    (found,) = environment.glob("lib/python*/site-packages/passband")
    return found


@pytest.fixture(scope="module")
def passband(environment, package, tmp_path_factory):
    """Return a function that runs `passband` in a stranger's folder, and returns what it says."""
    base = tmp_path_factory.mktemp("machine")
    folder, programs = base / "folder", base / "programs"
    programs.mkdir()
    for program in (p for place in ("/bin", "/usr/bin") for p in Path(place).iterdir()):
        link = programs / program.name
        if program.name not in ("make", "git") and not link.is_symlink():
            link.symlink_to(program)
    for trap in TRAPS:
        (folder / trap).parent.mkdir(parents=True, exist_ok=True)
        (folder / trap).write_text("open('mark', 'w').close()\n")
    left = ("HOME", "VIRTUAL_ENV", "PYTHONPATH", "XDG_CACHE_HOME", "MPLCONFIGDIR")
    variables = {name: value for name, value in os.environ.items() if name not in left}
    variables |= {"PATH": f"{environment / 'bin'}:{programs}", "HOME": "/dev/null"}

    def run(*words, program="passband", fails=False):
        done = subprocess.run(
            [environment / "bin" / program, *words],
            cwd=folder,
            env=variables,
            text=True,
            capture_output=True,
            timeout=1800,
        )
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        assert not list(folder.rglob("mark"))
        return done.stderr if fails else done.stdout

    code = "import passband; print(passband.__file__)"
    assert Path(run("-P", "-c", code, program="python").strip()).parent == package
    run.folder = folder
    return run


@pytest.fixture(scope="module")
def mine(passband):
    """The finished study `mine`, with four tiny networks."""
    passband("new", "mine", "--like", "smallest")
    file = passband.folder / "mine/config.yaml"
    schema = re.match(r"# yaml-language-server: \$schema=(.+)\n", file.read_text())[1]
    assert Path(schema).read_bytes() == (ROOT / "docs/config.schema.json").read_bytes()
    study = yaml.safe_load(file.read_text())
    study["study"]["structures"] = {"train": 2, "val": 1, "test": 1}
    study["study"] |= {"replicas": 1, "replicas_per_job": 1, "conditions_per_job": 4}
    study["training"]["epochs"] = 1
    file.write_text(yaml.safe_dump(study))
    assert "report.html in a browser" in passband("run", "mine", "--cores", "2")
    return passband.folder / "results/mine"


def files(folder):
    """Return the content of all files below a folder, without compiled ones."""
    found = (p for p in folder.rglob("*") if p.is_file() and p.parent.name != "__pycache__")
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_the_wheel_has_the_clones_files(wheel, package):
    assert wheel.stat().st_size <= 8e6
    installed = files(package)
    copied = {
        name.removeprefix("files/"): installed.pop(name)
        for name in [*installed]
        if name.startswith("files/")
    }
    assert installed == files(ROOT / "src/passband")
    for name, content in copied.items():
        assert content == (ROOT / name).read_bytes(), name
    # What asks whether Passband is right stays in the clone, but for a page of docs and its figure.
    assert not [name for name in copied if name.startswith("findings/")]
    assert {"docs/findings.md", "docs/images/findings.png"} <= copied.keys()
    expected = {"Snakefile", "config.yaml", "CITATION.cff", "results/README.md"}
    expected |= {"docs/config.schema.json", *(f"docs/{p.name}" for p in ROOT.glob("docs/*.md"))}
    for folder in ("workflow", "envs", "profiles", "studies"):
        expected |= {f"{folder}/{name}" for name in files(ROOT / folder)}
    assert expected <= copied.keys()


def test_the_pages_that_messages_and_help_name_are_in_the_wheel(package):
    texts = [content.decode(errors="ignore") for content in files(package).values()]
    named = {name for text in texts for name in re.findall(r"\bdocs/[\w/-]+\.md\b", text)}
    assert len(named) > 10
    assert [name for name in sorted(named) if not (package / "files" / name).is_file()] == []


def test_a_study_runs_in_a_strangers_folder(mine):
    assert (mine / "report.html").is_file()
    attributes = json.loads((mine / "table.zarr/zarr.json").read_text())["attributes"]
    assert attributes["git_revision"] == "unknown"


@pytest.mark.parametrize(
    ("words", "made"),
    [
        (["images", "mine", *CONDITION], "images/gold/test"),
        (["gallery", "mine"], "gallery/gold.png"),
        (["explore", "mine"], "explorer.html"),
    ],
    ids=lambda value: value[0],
)
def test_what_is_made_on_request(words, made, mine, passband):
    passband(*words)
    assert (mine / made).exists()


def test_a_recommendation(mine, passband):
    assert passband("recommend", "mine", *CONDITION).startswith("No network learned")


def test_an_image_is_segmented(passband):
    assert "5 particles" in passband("predict", "general", "sample", "--out", "found")
    assert (passband.folder / "found/sample_overlay.png").is_file()


def test_passbands_studies_and_profiles_are_found_by_their_names(passband):
    listed = passband("run", "smallest", "--profile", "slurm", "-n")
    assert re.search(r"^train +4$", listed, re.M)
    assert not (passband.folder / "results/smallest").exists()
    assert "ok" in passband("preflight", "smallest")


def test_snakemake_alone_runs_a_new_study_in_its_folder(passband):
    passband("new", "own", "--like", "smallest")
    code = (
        "import os, runpy, sys; os.chdir('own'); os.environ['XDG_CACHE_HOME'] = os.getcwd(); "
        "sys.argv = ['snakemake', '--profile', 'slurm', '--dry-run', '--nocolor']; "
        "runpy.run_module('snakemake', run_name='__main__')"
    )
    listed = passband("-P", "-c", code, program="python")
    assert re.search(r"^train +4$", listed, re.M)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["run", "smallest", "--sdm", "conda"], "--software-deployment-method conda: must be"),
        (["docs"], "--directory = 'docs': there is no folder docs"),
        (["run", "nothing"], "nothing: no study of this name"),
    ],
    ids=lambda value: value[0],
)
def test_what_the_wheel_cannot_do_is_one_line(words, line, passband):
    assert len(re.findall(f"^{line}", passband(*words, fails=True), re.M)) == 1
