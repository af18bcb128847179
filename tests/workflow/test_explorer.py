"""The job that makes the explorer, for which no other job waits."""

import base64

import pytest
from runs import FIGURES
from workplace import Workplace

from passband.results import Results
from passband.runs.job_states import Run

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

STUDY = "studies/smallest.yaml"
PAGE = "results/smallest/explorer.html"


def lose(place: Workplace) -> None:
    """Make the study one that was finished before there was a job for its explorer."""
    record = base64.b64encode(PAGE.encode()).decode()
    for file in (PAGE, f".snakemake/metadata/{record}"):
        (place.folder / file).unlink()
    (place.folder / "results/smallest/logs/explorer.log").unlink()


def test_an_earlier_study_has_its_explorer_to_make_alone_and_is_complete_without(copied):
    lose(copied)
    assert copied.jobs(study=STUDY, explorer=True) == {"explorer": 1}
    assert copied.jobs(study=STUDY) == {}  # as by passband run --no-explorer
    state = Run(Results.find(copied.folder / "results/smallest")).read()
    assert state.complete
    assert state.expected["explorer"] == 0
    assert [job.state for job in state.stages["explorer"]] == ["waiting"]


def test_the_command_makes_the_same_page(copied, passband):
    page = copied.folder / PAGE
    made = page.read_bytes()
    assert len(made) > 100_000
    page.unlink()
    assert passband(copied, "explore", "smallest") == f"{PAGE}\n"
    assert page.read_bytes() == made
    assert copied.jobs(study=STUDY, explorer=True) == {}


def test_new_figures_make_no_new_explorer(finished):
    jobs = finished.jobs(study=finished.study(figures={"dpi": 60}), explorer=True)
    assert jobs == {"figure": len(FIGURES), "report": 1}
