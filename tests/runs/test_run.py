"""The state of a run: its jobs, the share of its work that is done, and the time left."""

import pytest

from passband.runs.run import Run
from passband.runs.study_jobs import Job


def job(rule, since=0.0):
    return Job(rule, since=since)


def runs(run, id, rule, since, until):
    run.start(id, job(rule, since))
    run.finish(id, until)


@pytest.fixture
def run():
    """Four trainings of 100 s and two figures of 10 s: 420 s of work."""
    run = Run()
    run.seconds = {"train": 100.0, "figure_ctf": 10.0}
    run.begin({"train": 4, "figure_ctf": 2, "all": 1}, 0.0)
    return run


def test_jobs_count_by_their_seconds_and_targets_do_not_count(run):
    assert run.expected.total() == 6
    assert run.share(0) == 0
    runs(run, "1", "figure_ctf", 0, 10)
    assert run.share(10) == pytest.approx(10 / 420)
    runs(run, "2", "train", 10, 110)
    assert run.share(110) == pytest.approx(110 / 420)
    run.start("9", job("all"))
    run.finish("9", 110)
    assert run.done.total() == 2


def test_measured_times_correct_estimates_also_of_other_rules(run):
    runs(run, "1", "train", 0, 50)
    assert run.seconds_of("train") == 50
    assert run.seconds_of("figure_ctf") == 5  # half of its estimate, as for train
    assert run.seconds_of("unknown") == 5


def test_a_running_job_counts_until_it_has_taken_its_time(run):
    run.start("1", job("train"))
    assert run.share(50) == pytest.approx(50 / 420)
    assert run.share(10**6) == pytest.approx(95 / 420)


def test_the_share_never_decreases_and_is_1_only_at_the_end(run):
    runs(run, "1", "figure_ctf", 0, 10)
    before = run.share(10)
    runs(run, "2", "train", 10, 10_000)  # the other trainings will take as long
    assert run.share(10_000) >= before
    for k in range(3, 7):
        assert run.share(10_000) < 1
        runs(run, str(k), "train" if k < 6 else "figure_ctf", 0, 100)
    assert run.share(10_000) == 1
    assert run.seconds_left(10_000) == 0


def test_time_left_follows_from_how_many_jobs_ran_together(run):
    assert run.seconds_left(0) is None
    for k in range(2):
        runs(run, str(k), "train", 0, 100)
    # Two trainings and two figures are left, and two jobs run at a time.
    assert run.seconds_left(100) == pytest.approx((2 * 100 + 2 * 10) / 2)
    for k in (2, 3):
        run.start(str(k), job("train", 100))
    assert run.seconds_left(160) == pytest.approx((2 * 40 + 2 * 10) / 2)


def test_time_left_is_not_less_than_that_of_a_single_job(run):
    run.begin({"train": 2, "figure_ctf": 0}, 0.0)
    runs(run, "1", "train", 0, 100)
    run.start("2", job("train", 100))
    assert run.seconds_left(130) == pytest.approx(70)


def test_a_failed_job_is_not_done_and_may_be_tried_again(run):
    run.start("1", job("train"))
    failed = run.running["1"]
    assert run.fail("1", "train") is failed
    assert (len(run.failed), run.done.total(), len(run.running)) == (1, 0, 0)
    run.start("1", job("train", 20))
    assert not run.failed
    run.finish("1", 30)
    assert run.done.total() == 1
    assert run.fail("7", "train").since == 0  # it was not started
    run.finish("8", 30)
    assert run.done.total() == 1


def test_jobs_of_an_earlier_run_are_done_and_do_not_count_as_work_of_this_run():
    run = Run()
    run.seconds = {"train": 100.0}
    run.begin({"train": 10}, 1000.0)
    run.done["train"], run.took["train"] = 5, 500.0
    run.earlier = 400.0  # four of the five
    assert run.share(1100.0) == pytest.approx(0.5)
    assert run.seconds_left(1100.0) == pytest.approx(500)  # one job at a time
    run.earlier = 0.0
    assert run.seconds_left(1100.0) == pytest.approx(100)  # five at a time
    run.running["a"] = job("train", 500.0)  # of an earlier run; it counts for 100 s here
    assert run.seconds_left(1100.0) == pytest.approx(400 / 6)
    run.started = None
    assert run.seconds_left(1100.0) is None


@pytest.mark.parametrize("method", ["share", "seconds_left"])
def test_a_job_may_start_and_another_may_end_while_a_thread_draws(run, method):
    class Meanwhile(dict):
        """The estimates, during whose first use a job ends and a job of a new rule starts."""

        def get(self, *given):
            if "2" in run.running:
                run.finish("2", 60.0)
                run.start("3", job("mine", 60.0))
            return super().get(*given)

    run.seconds = Meanwhile(run.seconds)
    runs(run, "1", "figure_ctf", 0, 10)
    for id in ("2", "4"):
        run.start(id, job("train"))
    assert getattr(run, method)(60.0) > 0
    assert set(run.running) == {"3", "4"}
