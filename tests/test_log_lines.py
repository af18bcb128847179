"""Lines of the log that `passband status` reads."""

import pytest

from passband import log_lines

TIME = "12:00:00 "
BEGUN = f"{TIME}{log_lines.started('node1', 7)}\n"


def stopped(reason: str) -> str:
    return log_lines.failed("train a", log_lines.stopped(0, 3, reason, "its state is saved"))


@pytest.mark.parametrize(
    ("line", "how"),
    [
        (log_lines.finished("train a b", "2 networks in x", 3.14), "done"),
        (log_lines.finished("train a", log_lines.reused("2 networks"), 0), "done"),
        (log_lines.failed("train a", "x.zarr: not a whole store"), "failed"),
        (log_lines.crashed("train a", 2.0) + "\nTraceback\nValueError: x in 2.0 s", "failed"),
        (log_lines.failed("simulate a", log_lines.interrupted()), "interrupted"),
        (stopped("SIGINT"), "interrupted"),
        (stopped("SIGTERM"), "failed"),
        (stopped(log_lines.TIME_LIMIT), "failed"),
        ("replica 0: val_loss 0.1", None),
    ],
)
def test_how_a_job_ended(line, how):
    assert log_lines.ended(f"{BEGUN}{TIME}{line}\n", "train") == how
    # A later attempt counts, and so does what its log has before the last entry.
    assert log_lines.ended(f"{BEGUN}{TIME}{line}\n{BEGUN}", "train") is None
    assert log_lines.ended(f"{BEGUN}{TIME}some other line\n{TIME}{line}\n", "train") == how


def test_another_jobs_last_line_does_not_count():
    line = TIME + log_lines.finished("simulate a", "waves", 1.0)
    assert log_lines.ended(line, "train") is None
    assert log_lines.ended(line, r"\S+") == "done"


def test_a_stopped_job_says_where_and_why():
    assert stopped(log_lines.TIME_LIMIT) == (
        "error: train a: stopped in epoch 1 of 3: the time limit was reached; its state is saved"
    )
    assert stopped("SIGTERM") == (
        "error: train a: stopped in epoch 1 of 3 by SIGTERM; its state is saved"
    )


def test_how_long_a_job_took():
    line = TIME + log_lines.finished("train a", "waves", 12.3)
    assert log_lines.took(f"{BEGUN}{line}\n") == 12.3
    assert log_lines.took(f"{BEGUN}{line}\n{BEGUN}") is None
    assert log_lines.took(f"{BEGUN}{TIME}{log_lines.crashed('train a', 3.0)}\n") is None
    reused = log_lines.finished("train a", log_lines.reused("waves"), 0.1)
    assert log_lines.took(f"{BEGUN}{TIME}{reused}\n") is None


def test_the_last_attempt_has_a_machine_and_a_time():
    one = f"10:00:00 {log_lines.started('node1', 3)}\n10:05:00 replica 0\n"
    two = f"23:00:00 {log_lines.started('node2', 4)}\n23:30:00 a\n00:30:00 b\n00:30:05 c\n"
    assert log_lines.attempt(one) == ("node1", 300)
    assert log_lines.attempt(one + two) == ("node2", 5405)
    assert log_lines.attempt("") == ("", 0)


def test_how_far_a_job_is_follows_from_its_conditions_and_epochs():
    epochs = "".join(f"{TIME}{log_lines.epoch(done, 8)}\n" for done in (1, 6))
    second = f"{TIME}{log_lines.condition(2, 4, 'df+0005.00')}\n"
    assert log_lines.share(BEGUN) is None
    assert log_lines.share(f"{BEGUN}{epochs}") == 6 / 8
    assert log_lines.share(f"{BEGUN}{epochs}{second}") == 1 / 4
    assert log_lines.share(f"{BEGUN}{second}{epochs}") == (1 + 6 / 8) / 4
    assert log_lines.share(f"{BEGUN}{epochs}{BEGUN}") is None  # of an attempt before
    ended = log_lines.stopped(2, 8, "SIGTERM", "its state is saved")
    assert log_lines.share(f"{BEGUN}{epochs}{TIME}{ended}\n") == 6 / 8


# ── What a result depends on ─────────────────────────────────────────────────────────────────────

DEPENDENCE = log_lines.Dependence.of(
    [{"specimens.gold.material": "Œ'\n"}, [0.5, 1], "stage 3"], ["b", "a"]
)
DEPENDS = f"{TIME}{log_lines.depends(DEPENDENCE)}\n"
DONE = f"{TIME}{log_lines.finished('train a', 'it', 1)}\n"


def test_what_a_result_depends_on_is_in_the_last_line_but_one():
    assert log_lines.dependence(f"{BEGUN}{DEPENDS}{DONE}") == DEPENDENCE
    assert log_lines.dependence(f"{DEPENDS}{DONE}") == DEPENDENCE
    assert DEPENDS.count("\n") == 1
    assert log_lines.ended(f"{BEGUN}{DEPENDS}{DONE}", "train") == "done"


@pytest.mark.parametrize(
    "log",
    [
        "",
        DONE,
        BEGUN + DONE,
        DEPENDS,
        DEPENDS + BEGUN,
        DEPENDS + DONE + BEGUN,
        DEPENDS + DONE + BEGUN + DONE,
        f"{DEPENDS}{TIME}{log_lines.failed('train a', 'no')}\n",
        f"{TIME}depends on: []\n{DONE}",
        f"{TIME}depends on: {{\n{DONE}",
        f'{TIME}depends on: {{"params": []}}\n{DONE}',
        DEPENDS[40:] + DONE,
    ],
)
def test_another_log_does_not_say_what_a_result_depends_on(log):
    assert log_lines.dependence(log) is None


def test_inputs_in_another_order_are_the_same():
    same = log_lines.Dependence.of(["stage 3", [0.5, 1]], ["a", "b"])
    assert same == log_lines.Dependence.of([[0.5, 1], "stage 3"], ["b", "a"])
    assert same != log_lines.Dependence.of([[0.5, 1], "stage 3"], ["b"])
