"""The status of an edited study counts the jobs that Snakemake would run, see test_why.py too."""

from collections import Counter

import pytest

from passband.config import load
from passband.results import Results
from passband.runs.job_states import Run

pytestmark = [pytest.mark.workflow, pytest.mark.slow]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"microscope": {"energy_kev": 200}},
        {"study": {"structures": {"train": 16}}},
        {"grid": {"defocus_nm": [5, 20, 30]}},
        {"information": {"bands_per_A": [0.2, 0.5]}},
        {"evaluation": {"confidence": 0.9}},
        {"figures": {"examples": 1}},
    ],
    ids=str,
)
def test_status_counts_what_a_dry_run_counts(finished, changes):
    study = finished.study(**changes)
    results = Results(load(finished.folder / study), finished.folder / "results/smallest")
    run = Run(results).read()
    counted = Counter(
        job.rule
        for job in run.jobs
        if (job.needed or job.rule == "explorer") and job.state != "done"
    )
    planned = finished.jobs(study=study, explorer=True)
    assert dict(counted) == planned
    assert run.left == sum(planned.values())
    assert run.complete == (not planned)
