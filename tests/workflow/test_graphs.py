"""The graphs of jobs of whole studies, Snakemake's style check, and profiles."""

import re
import subprocess
import sys

import pytest
from runs import ROOT
from workplace import Workplace

from passband.config import load

pytestmark = pytest.mark.workflow


@pytest.mark.slow
def test_the_papers_graph_has_its_jobs_and_is_built_in_a_gigabyte():
    goal_s = 20  # the benchmark's goal; it builds the graph twice
    # The benchmark is a small process: a child of this one would begin with its peak memory.
    printed = subprocess.run(
        [sys.executable, ROOT / "benchmarks/graph.py", "--repeat", "1"],
        check=True,
        capture_output=True,
        text=True,
        timeout=2 * 10 * goal_s,
    ).stdout
    study = load(ROOT / "studies/paper.yaml")
    assert len(study.train_conditions) * study.study.replicas == 12_096
    simulate = (512 + 64 + 32) // 32
    # The other jobs are information, aggregate, ood, prediction, six figures, two pages, and all.
    assert f"graph    {simulate + 2 * 576 * 3 + 4 + 6 + 3:,} jobs" in printed
    assert int(re.search(r"memory +(\d+) MB", printed)[1]) < 1000


@pytest.mark.slow
def test_snakemakes_style_check_finds_nothing(tmp_path):
    assert "Congratulations" in Workplace(tmp_path / "w").run("--lint")


@pytest.mark.slow
def test_job_arrays_are_refused_in_a_line(tmp_path):
    workplace = Workplace(tmp_path / "w")
    options = "--profile", "slurm", "--slurm-array-jobs", "all", "--retries", "0"
    printed = workplace.run(*options, fails=True)
    assert "slurm-array-jobs = 'all': must not be set" in printed
    assert "Traceback" not in printed
    assert "sbatch" not in printed
