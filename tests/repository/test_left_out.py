"""Files of which no test is chosen are not imported, and all others are."""

from types import SimpleNamespace

import pytest
from left_out import pytest_ignore_collect

SEVERAL = "pytestmark = [\n    pytest.mark.workflow,\n    pytest.mark.slow,\n]\n"


@pytest.mark.parametrize(
    ("text", "chosen", "left_out"),
    [
        ("pytestmark = pytest.mark.slow\n", "not slow", True),
        ("pytestmark = pytest.mark.slow\n", "not long and not slow", True),
        (SEVERAL, "not slow and not long", True),
        ("pytestmark = pytest.mark.slow\n", "", None),
        ("pytestmark = pytest.mark.slow\n", "slow", None),
        ("pytestmark = pytest.mark.slow\n", "not slow or workflow", None),
        ("pytestmark = pytest.mark.slow\n", "not long and not install", None),
        ("pytestmark = pytest.mark.slower\n", "not slow", None),
        ("pytestmark = []\n\n\n@pytest.mark.slow\ndef test_it(): ...\n", "not slow", None),
        ("@pytest.mark.slow\ndef test_it(): ...\n", "not slow", None),
    ],
)
def test_a_file_is_left_out_if_all_its_tests_are(tmp_path, text, chosen, left_out):
    (tmp_path / "test_it.py").write_text(text)
    config = SimpleNamespace(option=SimpleNamespace(markexpr=chosen))
    assert pytest_ignore_collect(tmp_path / "test_it.py", config) is left_out


def test_other_files_are_not_read(tmp_path):
    config = SimpleNamespace(option=SimpleNamespace(markexpr="not slow"))
    assert pytest_ignore_collect(tmp_path / "none.npy", config) is None
    assert pytest_ignore_collect(tmp_path, config) is None
