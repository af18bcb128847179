"""The kinds of parts: what their decorators allow."""

import pytest

from passband.parts import PartError, reading


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ("@metric(PAIR)\ndef predicted(pair):", "name = 'predicted': stores and pages call"),
        ("@metric(PAIR)\ndef weight(pair):", "name = 'weight': stores and pages call"),
        ("@metric(PAIR)\ndef capacity_train(pair):", "nor end in _train or _test"),
        ("@metric(PAIR)\ndef test_mine(pair):", "must not begin with train_ or test_"),
        ("@metric(PAIR)\ndef mine():", "takes nothing; must take pair"),
        ("@metric(SINGLE)\ndef mine(one, other):", "takes one and other; must take view"),
        ("@metric(TRAIN)\ndef mine(row):", "of = 'train': must be SINGLE or PAIR"),
        ("@ood_metric(SINGLE)\ndef mine(row):", "of = 'single': must be TRAIN or PAIR"),
        ("@ood_metric(TRAIN)\ndef distance(row):", "name = 'distance': stores and pages call"),
        ("@ood_metric(TRAIN)\ndef id_interval(row):", "nor end in _interval"),
        ("@ood_metric(TRAIN, limits=(1, 0))\ndef mine(row):", "must be two numbers, the smaller"),
        ("@ood_metric(TRAIN, limits=(1,))\ndef mine(row):", "must be two numbers, the smaller"),
        ("@ood_metric(TRAIN, against='ideal')\ndef mine(row):", "against = 'ideal': must be ''"),
        ("@ood_metric(PAIR, against='me')\ndef mine(row):", "or for PAIR also 'home' or 'ideal'"),
    ],
)
def test_a_metric_that_cannot_be_is_refused_in_one_line(tmp_path, declared, words):
    file = tmp_path / "mine.py"
    head = "from passband.parts import PAIR, SINGLE, TRAIN, metric, ood_metric\n\n"
    file.write_text(f"{head}{declared}\n    return 1\n", encoding="utf-8")
    with pytest.raises(PartError, match=words) as error:
        reading.read(file)
    assert "line 3" in str(error.value)
    assert "\n" not in str(error.value)


def test_metrics_of_one_condition_have_names_that_pairs_cannot_have(tmp_path):
    file = tmp_path / "mine.py"
    head = "from passband.parts import SINGLE, metric\n\n@metric(SINGLE)\n"
    file.write_text(f"{head}def predicted(view):\n    return view.dose\n", encoding="utf-8")
    assert [part.name for part in reading.read(file)] == ["predicted"]
