"""A folder in which tests run the workflow as in a clone of the repository."""

import re
import resource
import subprocess
import sys
from pathlib import Path

import yaml
from snakemake.utils import update_config
from snakemake_server import Server

SNAKEMAKE = Server()
ROOT = Path(__file__).parents[2]
SMALLEST = ROOT / "tests" / "data" / "smallest.yaml"


class Workplace:
    """A folder that looks like a clone of the repository, with separate results."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for name in (
            "Snakefile",
            "config.yaml",
            "workflow",
            "profiles",
            "envs",
            "slurm",
            "Makefile",
        ):
            (folder / name).symlink_to(ROOT / name)
        (folder / "studies").mkdir(exist_ok=True)
        for file in (*(ROOT / "studies").glob("*.yaml"), SMALLEST):  # the last one for its namesake
            link = folder / "studies" / file.name
            link.unlink(missing_ok=True)
            link.symlink_to(file)

    def take(self, folder: Path) -> None:
        """Copy the results and Snakemake's records from the folder of another workplace."""
        for name in ("results", ".snakemake"):
            subprocess.run(["cp", "-a", folder / name, self.folder / name], check=True)

    def study(self, name: str = "study.yaml", **changes: dict) -> str:
        """Write the smallest study with changed blocks, and return the name of the file."""
        study = yaml.safe_load(SMALLEST.read_text())
        update_config(study, changes)  # merges nested blocks
        (self.folder / name).write_text(yaml.safe_dump(study))
        return name

    def _arguments(self, arguments: tuple[str, ...], study: str | None) -> list[str]:
        which = ["--configfile", study] if study else []
        return ["--cores", "2", "--nocolor", *arguments, *which]

    def start(self, *arguments: str, study: str | None = None) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", *self._arguments(arguments, study)],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(
        self,
        *arguments: str,
        study: str | None = None,
        fails: bool = False,
        explorer: bool = False,
    ) -> str:
        """Run Snakemake, check its exit status, and return its output."""
        status, printed = self.ended(*arguments, study=study, explorer=explorer)
        assert (status != 0) == fails, printed
        return printed

    def ended(
        self, *arguments: str, study: str | None = None, explorer: bool = False
    ) -> tuple[int, str]:
        """Run Snakemake, and return its exit status and its output.

        The explorer, for which no other job waits, is made only if a test needs it, to save time.
        """
        if not explorer and "--until" not in arguments:  # with both, Snakemake makes everything
            arguments = (*arguments, "--omit-from", "explorer")
        return SNAKEMAKE.run(self.folder, *self._arguments(arguments, study))

    def planned(
        self, *arguments: str, study: str | None = None, explorer: bool = False
    ) -> tuple[dict[str, int], str]:
        """Return the number of jobs of each rule in a dry run, and the dry run's output."""
        printed = self.run("--dry-run", *arguments, study=study, explorer=explorer)
        return counted(printed), printed

    def jobs(
        self, *arguments: str, study: str | None = None, explorer: bool = False
    ) -> dict[str, int]:
        """Return the number of jobs of each rule in a dry run."""
        return self.planned(*arguments, study=study, explorer=explorer)[0]


def counted(printed: str) -> dict[str, int]:
    """Return the number of jobs of each rule in the output of a run or a dry run."""
    stats = printed.partition("Job stats:")[2].partition("\n\n")[0]
    counts = {m[1]: int(m[2]) for m in re.finditer(r"^(\w+) +(\d+)$", stats, re.M)}
    counts.pop("total", None)
    counts.pop("all", None)
    return counts


def cpu_seconds() -> float:
    """Return the processor time of all child processes and all runs of Snakemake so far [s]."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime + SNAKEMAKE.cpu_seconds
