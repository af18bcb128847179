"""Passband with its grid, installed in a virtual environment and in a container, and without it."""

import json
import os
import re
import shutil
import string
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import clones
import pytest
from required import refuse

ROOT = Path(__file__).parents[2]
CONSTRAINTS = ROOT / "envs" / "constraints.txt"
#: Without the compiled files of modules that no test imports, there are half as many files.
FEWER_FILES = {"PIP_COMPILE": "0"}


#: A new environment that begins with all packages of the present one, pip among them: another
#: setuptools, which `venv` brings with pip, would hide the one that torch needs.
OVERLAY = """
folder='import sysconfig; print(sysconfig.get_path("purelib"))'
packages=$(python -c "$folder")
python -m venv --without-pip {0}
echo "$packages" > "$({0}/bin/python -c "$folder")/present.pth"
{0}/bin/python -m pip install --quiet --constraint constraints.txt 'passband[{0}]'
"""


class Place:
    """Where Passband is installed: a folder to work in, and how to run commands there."""

    def __init__(self, work: Path, variables: dict[str, str], before: tuple = ()):
        self.work, self.variables, self._before = work, variables, before

    def run(self, script: str) -> str:
        """Run a shell script, which must succeed, in the folder to work in; return its output."""
        process = subprocess.run(
            [*self._before, "sh", "-euc", script],
            cwd=self.work,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.returncode == 0, f"{script}\n{process.stdout}"
        return process.stdout

    def add(self, extra: str) -> None:
        """Make the environment of an extra, named as it, on that of this place."""
        self.run(OVERLAY.format(extra))


@pytest.fixture(scope="session")
def virtual(tmp_path_factory) -> Iterator[Place]:
    """A virtual environment of the Python that runs the tests, with the extra `grid`."""
    yield from environment(tmp_path_factory.mktemp("virtual"), "./source[grid]")


@pytest.fixture(scope="session")
def base(tmp_path_factory) -> Iterator[Place]:
    """A virtual environment of the Python that runs the tests, without extras."""
    yield from environment(tmp_path_factory.mktemp("base"), "./source")


def environment(folder: Path, source: str) -> Iterator[Place]:
    """Install the clone in a virtual environment in a new folder, which is removed at the end."""
    subprocess.run([sys.executable, "-m", "venv", folder / "environment"], check=True)
    path = f"{folder / 'environment' / 'bin'}:{os.environ['PATH']}"
    place = Place(folder, os.environ | FEWER_FILES | {"PATH": path, "VIRTUAL_ENV": ""})
    copied(folder / "source")
    place.run(f"python -m pip install --quiet --constraint '{CONSTRAINTS}' '{source}'")
    shutil.copy(CONSTRAINTS, folder)
    yield place
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def container(tmp_path_factory) -> Iterator[Place]:
    """A Debian from mmdebstrap in which the steps of the Containerfile have been taken.

    If the machine cannot do this, the test is skipped, unless PASSBAND_REQUIRE_MMDEBSTRAP is set.
    """
    if os.geteuid() != 0 or shutil.which("mmdebstrap") is None:
        refuse("MMDEBSTRAP", "no container here: needs root and Debian's mmdebstrap")
    folder = tmp_path_factory.mktemp("container")
    try:
        place = build(folder / "root")
        shutil.copy(CONSTRAINTS, place.work)
        yield place
    finally:  # the mounts of `inside` are seen only by its processes
        subprocess.run(["rm", "-r", "--one-file-system", folder], check=True)


def copied(target: Path) -> None:
    """Copy the clone, except for what .dockerignore names."""
    patterns = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()

    def wanted(name: str) -> bool:
        fits = [p for p in patterns if fnmatch(f"{name}/", f"{p.lstrip('!')}/*")]
        return not fits or fits[-1].startswith("!")

    clones.copy(target, wanted)


def build(root: Path) -> Place:
    """Take the steps of the Containerfile in a new folder, and return where they end."""
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    variables = FEWER_FILES | {"HOME": "/root", "PATH": path}
    text = re.sub(r"^#.*\n", "", (ROOT / "Containerfile").read_text(encoding="utf-8"), flags=re.M)
    folder, steps = "/", re.findall(r"^([A-Z]+) (.+)$", text.replace("\\\n", ""), re.M)
    for step, words in steps:
        match step:
            case "FROM":
                debian(root, re.fullmatch(r"debian:(\w+)-slim", words)[1])
            case "RUN":
                inside(root, folder, variables).run(words)
            case "ENV":
                name, _, value = words.partition("=")
                variables[name] = string.Template(value).substitute(variables)
            case "COPY":
                source, target = words.split()
                assert source == "."
                copied(root / target.lstrip("/"))
            case "WORKDIR":
                folder = words
                (root / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
            case "ENTRYPOINT":
                variables["ENTRYPOINT"] = " ".join(json.loads(words))
            case _:
                raise NotImplementedError(f"{step} {words}")
    return inside(root, folder, variables)


def debian(root: Path, suite: str) -> None:
    """Make a small Debian, which trusts the certificates that this machine has of its own."""
    command = ["mmdebstrap", "--quiet", "--variant=minbase"]
    if (own := Path("/usr/local/share/ca-certificates")).is_dir():
        command.append(f"--customize-hook=copy-in {own} {own.parent}")
    subprocess.run([*command, suite, root], check=True)


def inside(root: Path, folder: str, variables: dict[str, str]) -> Place:
    """Return a folder inside a root, whose commands cannot see what is outside of the root."""
    enter = 'mount -t proc proc "$0/proc"; mount --rbind /dev "$0/dev"; exec chroot "$0" "$@"'
    before = ("unshare", "--mount", "sh", "-euc", enter, root)
    before += ("sh", "-euc", f'cd {folder}; exec "$@"', "sh")
    return Place(root / folder.lstrip("/"), variables, before)
