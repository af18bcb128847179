"""The state of a run: its jobs, the share of its work that is done, and the time left."""

from pathlib import Path

import pytest

from passband.config import load
from passband.results import Results
from passband.runs.job_states import Run
from passband.runs.study_jobs import Job

STUDY = load(Path(__file__).parents[1] / "data" / "smallest.yaml")


@pytest.fixture
def run(tmp_path):
    """Four trainings of 100 s and two figures of 10 s: 420 s of work."""
    run = Run(Results(STUDY, tmp_path))
    run.seconds = {"train": 100.0, "figure": 10.0}
    run.begin({"train": 4, "figure": 2, "all": 1}, 0.0)
    return run


def made(run, rule, seconds):
    """Note a job that is done, as :meth:`Run.read` does."""
    run.done[rule] += 1
    run.took[rule] += seconds


def starts(run, log, rule="train", since=0.0, share=None):
    run.running[log] = Job(rule, log, since=since, share=share)


def test_jobs_count_by_their_seconds_and_targets_do_not_count(run):
    assert run.expected.total() == 6
    assert run.share(0) == 0
    made(run, "figure", 10)
    assert run.share(10) == pytest.approx(10 / 420)
    made(run, "train", 100)
    assert run.share(110) == pytest.approx(110 / 420)


def test_measured_times_correct_estimates_also_of_other_rules(run):
    made(run, "train", 50)
    assert run.seconds_of("train") == 50
    assert run.seconds_of("figure") == 5  # half of its estimate, as for train
    assert run.seconds_of("unknown") == 5


def test_a_running_job_counts_until_it_has_taken_its_time(run):
    starts(run, "1")
    assert run.share(50) == pytest.approx(50 / 420)
    assert run.share(10**6) == pytest.approx(95 / 420)


def test_a_running_job_with_epochs_counts_by_them_and_not_by_its_time(run):
    starts(run, "1", share=0.25)
    assert run.share(90) == pytest.approx(25 / 420)
    made(run, "figure", 10)
    # One figure, three trainings and three quarters of one are left, and one job runs at a time.
    assert run.seconds_left(90) == pytest.approx((75 + 3 * 100 + 10) / (100 / 90))


def test_the_share_never_decreases_and_is_1_only_at_the_end(run):
    made(run, "figure", 10)
    before = run.share(10)
    made(run, "train", 10_000)  # the other trainings will take as long
    assert run.share(10_000) >= before
    for k in range(3, 7):
        assert run.share(10_000) < 1
        made(run, "train" if k < 6 else "figure", 100)
    assert run.share(10_000) == 1
    assert run.seconds_left(10_000) == 0


def test_time_left_follows_from_how_many_jobs_ran_together(run):
    assert run.seconds_left(0) is None
    for _ in range(2):
        made(run, "train", 100)
    # Two trainings and two figures are left, and two jobs run at a time.
    assert run.seconds_left(100) == pytest.approx((2 * 100 + 2 * 10) / 2)
    for log in "ab":
        starts(run, log, since=100)
    assert run.seconds_left(160) == pytest.approx((2 * 40 + 2 * 10) / 2)


def test_time_left_is_not_less_than_that_of_a_single_job(run):
    run.begin({"train": 2, "figure": 0}, 0.0)
    made(run, "train", 100)
    starts(run, "2", since=100)
    assert run.seconds_left(130) == pytest.approx(70)


def test_jobs_of_an_earlier_run_are_done_and_do_not_count_as_work_of_this_run(run):
    run.begin({"train": 10}, 1000.0)
    run.done["train"] = 5
    run.took["train"] = 500.0
    run.earlier = 400.0  # four of the five
    assert run.share(1100.0) == pytest.approx(0.5)
    assert run.seconds_left(1100.0) == pytest.approx(500)  # one job at a time
    run.earlier = 0.0
    assert run.seconds_left(1100.0) == pytest.approx(100)  # five at a time
    starts(run, "a", since=500.0)  # of an earlier run; it counts for 100 s here
    assert run.seconds_left(1100.0) == pytest.approx((4 * 100 + 5) / 6)
    run.started = None
    assert run.seconds_left(1100.0) is None
