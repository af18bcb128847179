"""Parts of a study's own are tried before any job: `passband check` names what is wrong."""

from pathlib import Path

import pytest

from passband import cli

HEAD = "from passband.parts import PAIR, SINGLE, figure, metric, ood_metric\n\n\n"


@pytest.fixture
def checked(tmp_path, monkeypatch, capsys):
    """Return a function that checks a study with a file of parts, and returns its errors."""
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text("study: {name: mine}\n")
    Path("parts").mkdir()

    def check(text: str) -> str:
        Path("parts/mine.py").write_text(HEAD + text)
        status = cli.main(["check"])
        named, _, said = capsys.readouterr().err.partition("\n")
        assert named.startswith("runs the study's own parts: ")
        assert status == (1 if said else 0)
        assert said.count("\n") <= 1
        return said

    return check


@pytest.mark.parametrize(
    "text",
    [
        "@metric(SINGLE)\ndef m(view):\n    return view.T2.sum(1)",
        "@metric(PAIR)\ndef m(pair):\n    return pair.train.dose[:, None] / pair.test.dose",
        "@ood_metric('train')\ndef m(row):\n    return row.dice.mean(1)",
        "@ood_metric(PAIR)\ndef m(row):\n    return row.score('iou') - row.ideal",
        "@ood_metric(PAIR)\ndef m(row):\n    return row.matrix.images(row.number)",
        "@figure(caption='A', inputs=(), settings=('evaluation.confidence', 'lens'))\n"
        "def f(width_cm): ...",
    ],
)
def test_what_is_right_passes(checked, text):
    assert checked(text) == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "@metric(SINGLE)\ndef m(view):\n    return view.T",
            "metric 'm' of parts/mine.py, line 4: returns an array (2, 16), must be (condition,)",
        ),
        (
            "@metric(PAIR)\ndef m(pair):\n    return pair.train.dose",
            "metric 'm' of parts/mine.py, line 4: returns an array (2,), must be (train, test)",
        ),
        (
            "@metric(SINGLE)\ndef m(view):\n    return view.Dose",
            "metric 'm' of parts/mine.py, line 4: AttributeError: 'View' object has no",
        ),
        (
            "@ood_metric('train')\ndef m(row):\n    return row.dice.mean(0)",
            "ood_metric 'm' of parts/mine.py, line 4: returns an array (3, 4), must be (replica, s",
        ),
        (
            "@ood_metric(PAIR)\ndef m(row):\n    return row.home",
            "ood_metric 'm' of parts/mine.py, line 4: returns an array (2, 4), must be (replica, t",
        ),
        (
            "@ood_metric(PAIR)\ndef m(row):\n    return row.dise",
            "ood_metric 'm' of parts/mine.py, line 4: AttributeError: 'TrialRow' object has no",
        ),
        (
            "import torchh\n\n\n@ood_metric('train')\ndef m(row): ...",
            "ood_metric 'm' of parts/mine.py, line 7: its import fails: ModuleNotFoundError",
        ),
        (
            "@figure(caption='A', inputs=(), settings=('evaluation.confidenc',))\n"
            "def f(width_cm): ...",
            "figure 'f' of parts/mine.py, line 4: settings = 'evaluation.confidenc': the study has",
        ),
    ],
)
def test_what_is_wrong_is_one_line_before_any_job(checked, text, said):
    assert checked(text).startswith(said)
