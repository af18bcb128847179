"""Measure the time and peak memory that Snakemake needs to build the graph of a study.

    python benchmarks/graph.py                          # studies/paper.yaml, the median of 3 runs
    python benchmarks/graph.py studies/pilot.yaml --repeat 5

Each run is a dry run of Snakemake in an empty folder, so that finished results have no effect. A
dry run makes no files. The script also prints the number of jobs and files in the graph.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("Snakefile", "config.yaml", "workflow", "studies", "profiles", "envs")


def measure(folder: Path, study: Path, *options: str) -> tuple[float, float, str]:
    """Return the time [s], the peak memory [MB] and the output of a dry run of Snakemake."""
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--nocolor", *options]
    # The output is written to a file, since a full pipe would block the child process.
    with tempfile.TemporaryFile("w+") as printed:
        started = time.perf_counter()
        process = subprocess.Popen(
            [*command, "--configfile", study],
            cwd=folder,
            stdout=printed,
            stderr=subprocess.STDOUT,
        )
        # wait4 gives the memory of this child; getrusage gives the largest of all children so far.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - started
        printed.seek(0)
        text = printed.read()
    if process.returncode:
        sys.exit(f"{study}: the dry run failed:\n{text}")
    per_MB = 1e6 if sys.platform == "darwin" else 1e6 / 1024  # bytes on macOS, KiB elsewhere
    return seconds, usage.ru_maxrss / per_MB, text


def size(text: str) -> tuple[int, int]:
    """Return the numbers of jobs and of different files in the output of a dry run."""
    jobs = re.search(r"^total +(\d+)$", text, re.M)
    listed = re.findall(r"^ +(?:input|output): (.+)$", text, re.M)
    return int(jobs[1]), len({file for files in listed for file in files.split(", ")})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", nargs="?", type=Path, default=ROOT / "studies" / "paper.yaml")
    parser.add_argument("--repeat", type=int, default=3, help="runs (default: 3)")
    options = parser.parse_args()
    study = options.study.resolve()
    with tempfile.TemporaryDirectory() as folder:
        for name in PARTS:
            (Path(folder) / name).symlink_to(ROOT / name)
        runs = [
            measure(Path(folder), study, "--quiet", "rules") for _ in range(max(1, options.repeat))
        ]
        jobs, files = size(measure(Path(folder), study)[2])
    seconds, memory = (statistics.median(values) for values in list(zip(*runs, strict=True))[:2])
    spread = f"{min(s for s, *_ in runs):.1f} to {max(s for s, *_ in runs):.1f}"
    print(f"study    {options.study.name}")
    print(f"graph    {jobs:,} jobs, {files:,} files")
    print(f"seconds  {seconds:.1f}, the median of {len(runs)} dry runs ({spread})")
    print(f"memory   {memory:.0f} MB at its peak")


if __name__ == "__main__":
    main()
