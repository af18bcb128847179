"""The profiles of Snakemake: the reason for each key, and the resources of jobs."""

import difflib
import os
import re
import shlex
from functools import cache
from pathlib import Path

import pytest
from workplace import SNAKEMAKE

ROOT = Path(__file__).parents[2]
PROFILES = ROOT / "profiles"
CLUSTERS = ["slurm", "slurm-noaccounting", "perlmutter"]
GPU_RULES = {"simulate", "train", "evaluate"}


def read(name: str) -> str:
    return (PROFILES / name / "config.yaml").read_text(encoding="utf-8")


@cache
def dry_run(name: str, **variables: str) -> dict[str, str]:
    """Return the resources of a job of each rule, as a dry run prints them."""
    words = "--profile", f"profiles/{name}", "--dry-run", "--forceall", "--nocolor"
    with pytest.MonkeyPatch.context() as patch:
        for key in os.environ:
            if key.startswith(("SBATCH_", "PASSBAND_GPU")):
                patch.delenv(key)
        for key, value in variables.items():
            patch.setenv(key, value)
        status, printed = SNAKEMAKE.run(ROOT, *words, "--configfile", "studies/smallest.yaml")
    assert status == 0, printed
    jobs = re.findall(r"^rule (\w+):\n((?:    .*\n)+)", printed, re.M)
    return {rule: re.search(r"resources: (.*)", lines)[1] for rule, lines in jobs}


@pytest.mark.parametrize(
    "path", sorted(PROFILES.glob("*/config.yaml")), ids=lambda p: p.parent.name
)
def test_every_key_has_a_reason(path):
    """The reason for a key is a comment directly above the key."""
    lines = path.read_text(encoding="utf-8").splitlines()
    keys = [n for n, line in enumerate(lines) if re.match(r"\s*(- )?[\w-]+( =|:)|\s*<<:", line)]
    assert keys
    bare = [lines[n] for n in keys if not lines[n - 1].strip().startswith("#")]
    assert [line for line in bare if line != "__definitions__:"] == []  # a heading describes it


@pytest.mark.slow
@pytest.mark.parametrize("name", CLUSTERS)
def test_only_rules_that_use_a_gpu_request_it(name):
    resources = dry_run(name)
    assert {"information", "aggregate", "ood", "figure"} | GPU_RULES <= resources.keys()
    asking = {rule for rule, line in resources.items() if "gpu=1" in line}
    assert asking == GPU_RULES
    assert all("mem_mb=" in line and "runtime=" in line for line in resources.values())


@pytest.mark.slow
def test_account_partition_and_qos_come_from_the_environment():
    variables = {"SBATCH_ACCOUNT": "materials", "SBATCH_PARTITION": "cpus", "SBATCH_QOS": "night"}
    variables |= {"PASSBAND_GPU_PARTITION": "a100s", "PASSBAND_GPU_MODEL": "a100"}
    resources = dry_run("slurm", **variables)
    for rule, line in resources.items():
        assert "slurm_account=materials" in line
        assert "qos=night" in line
        assert f"slurm_partition={'a100s' if rule in GPU_RULES else 'cpus'}" in line
        assert ("gpu_model=a100" in line) == (rule in GPU_RULES)
    assert not any("slurm_" in line or "qos" in line for line in dry_run("slurm").values())


@pytest.mark.slow
def test_perlmutter_has_nodes_of_two_kinds():
    for rule, line in dry_run("perlmutter").items():
        assert f"constraint={'gpu' if rule in GPU_RULES else 'cpu'}" in line
        assert "qos=shared" in line


def test_without_accounting_only_the_questions_differ():
    lines = [read(name).splitlines() for name in ("slurm", "slurm-noaccounting")]
    changed = [line for line in difflib.ndiff(*lines) if line[0] in "+-" and line[2:3] not in "# "]
    assert changed == [
        "- slurm-status-command: sacct",
        "+ slurm-status-command: squeue",
        "- slurm-init-seconds-before-status-checks: 40",
        "+ slurm-init-seconds-before-status-checks: 20",
    ]


@pytest.mark.parametrize("name", CLUSTERS)
def test_no_profile_submits_arrays(name):
    assert not re.search(r"^slurm-array-jobs", read(name), re.M)


@pytest.mark.slow
def test_the_three_jobs_that_come_first_are_three():
    """The command that docs/cluster.md gives for the first jobs runs three jobs."""
    page = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^(snakemake --profile slurm \\\n(?:  .*\n)+)", page, re.M)
    arguments = shlex.split(command.replace("\\\n", ""))[1:]
    status, printed = SNAKEMAKE.run(ROOT, "--dry-run", "--forceall", "--nocolor", *arguments)
    assert status == 0, printed
    assert re.search(r"^total +3$", printed, re.M), printed


def test_memory_and_time_grow_with_each_attempt():
    """Otherwise a job that reached a limit of memory or time would reach it again."""
    rules = "\n".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    for resource in ("mem_mb", "runtime"):
        values = re.findall(rf"^ +{resource}=(.*)$", rules, re.M)
        assert values
        values += re.findall(rf"^ +{resource}: (.*)$", read("slurm"), re.M)
        assert all("* attempt" in value for value in values), values
