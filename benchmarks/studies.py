"""Measure how long the smallest study runs, and how long the check of a wrong study takes.

    python benchmarks/studies.py
    python benchmarks/studies.py --quick      # no run, and only 20 wrong studies

The measured times are processor times, which depend little on other programs.
"""

import argparse
import contextlib
import io
import os
import sys
import tempfile
import time
from pathlib import Path

from harness import Table

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/helpers"))

from odd_studies import NASTIEST, corpus  # noqa: E402
from workplace import Workplace, cpu_seconds  # noqa: E402

from passband import cli  # noqa: E402


def seconds_to_refuse(study: bytes) -> float:
    """Return the time of `passband check` for a study [s]."""
    Path("study.yaml").write_bytes(study)
    started = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        cli.main(["check", "study.yaml"])
    return time.process_time() - started


def seconds_of(place: Workplace, *arguments: str, study: str, fails: bool = False) -> float:
    """Return the processor time of Snakemake and its jobs [s]."""
    started = cpu_seconds()
    place.run(*arguments, study=study, fails=fails)
    return cpu_seconds() - started


def main() -> None:
    """Measure, and print the table of results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="no run, and only 20 wrong studies")
    quick = parser.parse_args().quick
    table, before = Table(), Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        place = Workplace(Path(folder))
        os.chdir(folder)
        studies = [odd.study for odd in corpus().values()]
        slowest = max(map(seconds_to_refuse, studies[:20] if quick else studies))
        table.row("passband check of the slowest odd study [s]", 3, slowest)
        good = seconds_of(place, "--dry-run", study="studies/smallest.yaml")
        bad = []
        for study in list(NASTIEST.values())[: 1 if quick else None]:
            Path("config.yaml").unlink()
            Path("config.yaml").write_bytes(study)
            # The study's file, which Passband reads before Snakemake does.
            bad.append(seconds_of(place, "--dry-run", study="", fails=True))
        table.row(
            "snakemake -n of the slowest wrong study / of a correct study", 1.3, max(bad) / good
        )
        if not quick:
            Path("config.yaml").unlink()
            (Path(folder) / "config.yaml").symlink_to(ROOT / "config.yaml")
            run = seconds_of(place, study="studies/smallest.yaml")
            table.row("run of studies/smallest.yaml, processor time [s]", 2 * 60, run)
        os.chdir(before)


if __name__ == "__main__":
    main()
