"""Jobs that would run again after an edit of a finished study, without asking Snakemake.

tests/workflow/test_outdated.py compares their numbers with Snakemake's.
"""

import json
import os
import shutil
from collections import Counter
from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config

from passband import cli
from passband.results import Results, layout, snapshot
from passband.runs.job_states import Run
from passband.runs.plan import _left
from passband.runs.rates import OTHERS
from passband.storage import weights

pytestmark = pytest.mark.slow

RESULTS = Path("results/smallest")
#: What follows if the table is made again. The archive has neither report nor explorer.
OF_TABLE = {"aggregate": 1, "ood": 1, "figure": 4, "report": 1}


@pytest.fixture(autouse=True)
def place(archived, tmp_path, monkeypatch) -> Path:
    """A copy of a finished study of four conditions, as the working directory."""
    folder = tmp_path / "place"
    shutil.copytree(archived, folder)
    (folder / "study.yaml").rename(folder / "config.yaml")
    monkeypatch.chdir(folder)
    return folder


def edit(changes: dict) -> None:
    content = yaml.safe_load(Path("config.yaml").read_text())
    update_config(content, changes)
    Path("config.yaml").write_text(yaml.safe_dump(content))


def to_run() -> dict[str, int]:
    """Return the numbers of jobs that would run, by rule, without the explorer's."""
    run = Run(Results.find("config.yaml")).read()
    found = Counter(job.rule for job in run.jobs if job.needed and job.state != "done")
    assert run.left == found.total() + 1
    return dict(found)


def started() -> None:
    """Write the copy of the configuration that jobs read, as a run does when it starts."""
    copy = snapshot.write(Results.find("config.yaml"), "config.yaml", alone=True)
    age(str(copy.relative_to(RESULTS)), 5)


def age(pattern: str, seconds: float) -> None:
    """Make files of the results, and the logs of their jobs, newer by some seconds than all."""
    newest = max(path.stat().st_mtime for path in RESULTS.rglob("*") if path.is_file())
    for path in RESULTS.glob(pattern):
        os.utime(path, (newest + seconds, newest + seconds))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"report": 1}),
        ({"training": {"epochs": 20}}, {"train": 4, "evaluate": 4, **OF_TABLE}),
        (
            {"microscope": {"energy_kev": 200}},
            {
                **{"simulate": 4, "train": 4, "evaluate": 4, "information": 1},
                **(OF_TABLE | {"figure": 5}),
            },
        ),
        ({"study": {"structures": {"test": 3}}}, {"simulate": 1, "evaluate": 4, **OF_TABLE}),
        ({"evaluation": {"confidence": 0.9}}, {"ood": 1, "figure": 4, "report": 1}),
        ({"figures": {"dpi": 50}}, {"figure": 5, "report": 1}),
    ],
)
def test_an_edit_counts_the_jobs_that_depend_on_it(changes, expected):
    edit(changes)
    assert to_run() == expected


def test_what_an_interrupted_run_has_made_again_is_done():
    """Its files are newer than the table, and say what made them."""
    edit({"training": {"epochs": 20}})
    started()
    study = Results.find("config.yaml").study
    for path in sorted((RESULTS / "networks").rglob("*.safetensors"))[:2]:
        (cell,) = weights.load_cells(path, "pt").values()
        provenance = cell.metadata.provenance | {
            "config_digest": study.digest,
            "configuration": json.dumps(study.written()),
        }
        weights.save_cells({cell.metadata.condition: cell}, path, provenance)
        age(str(path.relative_to(RESULTS)), 5)
    assert to_run() == {"train": 2, "evaluate": 4, **OF_TABLE}
    edit({"training": {"epochs": 2}})  # then those two are the others
    assert to_run() == {"train": 2, "evaluate": 2, **OF_TABLE}
    started()
    assert to_run() == {"train": 2, "evaluate": 2, **OF_TABLE}


def test_deleted_exit_waves_count_if_a_job_needs_them():
    shutil.rmtree(RESULTS / "waves")
    assert Run(Results.find("config.yaml")).read().left == 2  # the report and the explorer
    edit({"training": {"epochs": 20}})
    left = 4 + 4 + 4 + sum(OF_TABLE.values()) + 1
    assert Run(Results.find("config.yaml")).read().left == left


def test_only_files_between_the_table_and_the_last_configuration_are_opened(monkeypatch):
    """So the state of a study of thousands of networks is read as fast as its files are listed."""
    opened = []
    monkeypatch.setattr(weights, "values", lambda path: opened.append(path) or {})
    edit({"training": {"epochs": 20}})
    to_run()
    assert opened == []


def test_the_plan_counts_networks_that_a_run_will_train_again():
    edit({"training": {"epochs": 20}})
    took = dict.fromkeys(("simulate", "train", "evaluate", "starting", OTHERS), 1.0)
    first, _ = _left(Results.find("config.yaml"), took, "core")
    assert first == "0 files of structures to simulate, 8 networks to train and 8 to test"


def test_the_status_says_how_many_jobs_would_run(capsys):
    edit({"training": {"epochs": 20}})
    assert cli.main(["status"]) == 0
    printed = capsys.readouterr().out
    assert "the study is complete" not in printed
    assert "no job runs; 16 jobs to run: `passband run`" in printed


def test_the_copy_of_a_configuration_says_what_drew_newer_figures():
    edit({"figures": {"dpi": 50}})
    started()
    assert to_run()["figure"] == 5
    for folder in ("figures", f"{layout.LOGS}/figures"):
        age(f"{folder}/*", 5)
    assert to_run() == {"report": 1}
