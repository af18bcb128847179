"""The state of a run: its jobs, the share of its work that is done, and the time left."""

import pytest

from passband.runs.progress import OfRule, Progress, Running, describe, validation_dice

ID = "df+0005.00_cs+0001.200_ap010.00_ds000100.00"


def job(rule, since=0.0):
    return Running(rule, rule, "", since)


def run(progress, id, rule, since, until):
    progress.start(id, job(rule, since))
    progress.finish(id, until)


@pytest.fixture
def progress():
    """Four trainings of 100 s and two figures of 10 s: 420 s of work."""
    progress = Progress({"train": 100.0, "figure_ctf": 10.0}, 0.0)
    progress.expect({"train": 4, "figure_ctf": 2, "all": 1})
    return progress


def test_jobs_count_by_their_seconds_and_targets_do_not_count(progress):
    assert progress.total == 6
    assert progress.share(0) == 0
    run(progress, "1", "figure_ctf", 0, 10)
    assert progress.share(10) == pytest.approx(10 / 420)
    run(progress, "2", "train", 10, 110)
    assert progress.share(110) == pytest.approx(110 / 420)
    progress.start("9", job("all"))
    progress.finish("9", 110)
    assert progress.done == 2


def test_measured_times_correct_estimates_also_of_other_rules(progress):
    run(progress, "1", "train", 0, 50)
    assert progress.seconds_of("train") == 50
    assert progress.seconds_of("figure_ctf") == 5  # half of its estimate, as for train
    assert progress.seconds_of("unknown") == 5


def test_a_running_job_counts_until_it_has_taken_its_time(progress):
    progress.start("1", job("train"))
    assert progress.share(50) == pytest.approx(50 / 420)
    assert progress.share(10**6) == pytest.approx(95 / 420)


def test_the_share_never_decreases_and_is_1_only_at_the_end(progress):
    run(progress, "1", "figure_ctf", 0, 10)
    before = progress.share(10)
    run(progress, "2", "train", 10, 10_000)  # the other trainings will take as long
    assert progress.share(10_000) >= before
    for k in range(3, 7):
        assert progress.share(10_000) < 1
        run(progress, str(k), "train" if k < 6 else "figure_ctf", 0, 100)
    assert progress.share(10_000) == 1
    assert progress.seconds_left(10_000) == 0


def test_time_left_follows_from_how_many_jobs_ran_together(progress):
    assert progress.seconds_left(0) is None
    for k in range(2):
        run(progress, str(k), "train", 0, 100)
    # Two trainings and two figures are left, and two jobs run at a time.
    assert progress.seconds_left(100) == pytest.approx((2 * 100 + 2 * 10) / 2)
    for k in (2, 3):
        progress.start(str(k), job("train", 100))
    assert progress.seconds_left(160) == pytest.approx((2 * 40 + 2 * 10) / 2)


def test_time_left_is_not_less_than_that_of_a_single_job(progress):
    progress.expect({"train": 2, "figure_ctf": 0})
    run(progress, "1", "train", 0, 100)
    progress.start("2", job("train", 100))
    assert progress.seconds_left(130) == pytest.approx(70)


def test_a_failed_job_is_not_done_and_may_be_tried_again(progress):
    progress.start("1", job("train"))
    assert progress.fail("1", "train").rule == "train"
    assert (progress.failed, progress.done, len(progress.running)) == (1, 0, 0)
    progress.start("1", job("train", 20))
    assert progress.failed == 0
    progress.finish("1", 30)
    assert progress.done == 1
    assert progress.fail("7", "train") is None
    assert progress.finish("8", 30) is None


def test_a_job_in_words_has_the_units_of_its_condition():
    names = {"specimen": "gold", "architecture": "compact-w8-d3", "condition": ID}
    assert describe("train", names | {"batch": "r000-000"}) == (
        "train gold compact-w8-d3, 5 nm, 1.2 µm, 10 mrad, 100 e/Å²"
    )
    assert describe("train", names | {"batch": "r000-006"}).startswith(
        "train gold compact-w8-d3 r000-006, 5 nm"
    )
    further = {"condition": f"{ID}_as0005.000_mt0.300"}
    assert describe("train", further).endswith(
        "100 e/Å², astigmatism 5 nm, MTF at the Nyquist frequency 0.3"
    )
    assert describe("figure_matrix", {}) == "figure matrix"
    assert describe("mine", {"condition": "odd"}) == "mine odd"
    group = {"condition": f"{names['condition']}~ds000400.00~0a1b2c3d"}
    assert describe("train", names | group) == f"{describe('train', names)} and others"


def test_jobs_of_an_earlier_run_are_done_and_do_not_count_as_work_of_this_run():
    progress = Progress({"train": 100.0}, 1000.0)
    progress.rules = {"train": OfRule(total=10, done=5, took=500.0)}
    progress.earlier = 400.0  # four of the five
    assert progress.share(1100.0) == pytest.approx(0.5)
    assert progress.seconds_left(1100.0) == pytest.approx(500)  # one job at a time
    progress.earlier = 0.0
    assert progress.seconds_left(1100.0) == pytest.approx(100)  # five at a time
    progress.running["a"] = job("train", 500.0)  # of an earlier run; it counts for 100 s here
    assert progress.seconds_left(1100.0) == pytest.approx(400 / 6)
    progress.started = None
    assert progress.seconds_left(1100.0) is None


def test_dice_is_that_of_the_epoch_with_the_lowest_loss(tmp_path):
    history = tmp_path / "a.csv"
    history.write_text(
        "replica,epoch,val_loss,val_dice\n0,0,0.5,0.7\n0,1,0.2,0.8\n0,2,0.3,0.9\n1,0,0.1,0.6\n"
    )
    assert validation_dice(history) == [0.8, 0.6]
    assert validation_dice(tmp_path / "none.csv") == []
    history.write_text("something else\n1\n")
    assert validation_dice(history) == []
