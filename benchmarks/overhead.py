"""Measure the time that a SLURM job needs besides its work: sbatch, two Snakemakes, imports.

    python benchmarks/overhead.py           # a few minutes, as root, with SLURM installed
    python benchmarks/overhead.py --quick   # one job

The jobs are those of the smallest study under one condition. The jobs run one at a time on a SLURM
that `tests/slurm/cluster.py` starts. The profile is `slurm` with more frequent status checks. A
job's log has the time of its work. The time for start-up and end is the time that SLURM records for
the job, minus the time of its work. On a real cluster, the wait in the queue is added. A job that
waits uses no processor.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from datetime import datetime
from pathlib import Path

import yaml
from harness import Table, snakemake
from schedule import ROOT, clone

sys.path.insert(0, str(ROOT / "tests/slurm"))
import cluster

#: The largest allowed share of a job's time for start-up and end.
SHARE = 0.05
STAGES = ("simulate", "train", "evaluate", "information", "aggregate")
OPTIONS = (
    *("--profile", "profiles/slurm", "--slurm-init-seconds-before-status-checks", "1"),
    *("--jobs", "1", "--set-threads", *(f"{stage}=1" for stage in STAGES)),
)


def run(folder: Path, *targets: str) -> str:
    """Run jobs of the smallest study's first condition, and return Snakemake's output."""
    study = yaml.safe_load((ROOT / "studies/smallest.yaml").read_text(encoding="utf-8"))
    study["grid"] = {axis: values[:1] for axis, values in study["grid"].items()}
    (folder / "study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    targets = [f"results/smallest/{target}" for target in targets]
    return snakemake(folder, *targets, *OPTIONS)


def overheads(printed: str, folder: Path) -> dict[str, list[tuple[float, float]]]:
    """Return for each stage the seconds from sbatch to start, and the seconds besides work."""
    found = defaultdict(list)
    announced = r"^rule (\w+):\n(?:    .*\n)*?    log: (.+)\n(?:.*\n)*?Job .* SLURM jobid (\d+)"
    for stage, log, job in re.findall(announced, printed, re.M):
        command = ["sacct", "-XnP", f"--jobs={job}", "--format=Submit,Start,End"]
        times = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        submitted, started, ended = map(datetime.fromisoformat, times.strip().split("|"))
        *_, work = re.findall(r" in (\d+\.\d) s$", (folder / log).read_text(), re.M)
        besides = (ended - started).total_seconds() - float(work)
        found[stage].append(((started - submitted).total_seconds(), besides))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one job")
    quick = parser.parse_args().quick
    if reason := cluster.missing():
        print(f"no SLURM here: {reason}")
        return
    targets = ["figures/ctf.png"] if quick else ["table.zarr", "information.zarr"]
    running = cluster.accounting()
    try:
        if not running:
            cluster.start(accounting=True)
        with tempfile.TemporaryDirectory() as folder:
            found = overheads(run(clone(folder), *targets), Path(folder))
    finally:
        if not running:
            cluster.stop()
    table = Table()
    for stage, jobs in found.items():
        queue, besides = (sum(values) / len(jobs) for values in zip(*jobs, strict=True))
        table.row(f"{stage}: sbatch to start, in an idle queue [s]", None, queue)
        table.row(f"{stage}: start-up and end [s]", None, besides)
        table.row(f"{stage}: a job with {SHARE:.0%} for them [min]", None, besides / SHARE / 60)


if __name__ == "__main__":
    main()
