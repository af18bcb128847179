"""A process that a test leaves fails the run of the tests, and is ended."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HELPERS = Path(__file__).parents[1] / "helpers"
RUN = """
import sys
import left_processes, pytest
left_processes._PATIENCE_S = 0.5
sys.exit(pytest.main(sys.argv[1:], plugins=[left_processes]))
"""
TEST = """
import subprocess
def test_that_leaves_a_process():
    words = {words}
    if words:
        process = subprocess.Popen(words, start_new_session=True, stdout=subprocess.DEVNULL)
        open("number", "w").write(str(process.pid))
        process.returncode = 0  # nothing warns of it
def test_that_leaves_nothing():
    subprocess.run(["true"], check=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "workers"),
    [
        (["sleep", "600"], ["-p", "xdist", "-n", "1"]),
        ([], []),
    ],
)
def test_a_process_that_is_left_fails_the_run(tmp_path, words, workers):
    (tmp_path / "test_it.py").write_text(TEST.format(words=words))
    ran = subprocess.run(
        [sys.executable, "-c", RUN, "-c", "/dev/null", "--rootdir=.", "-q", *workers, "test_it.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(HELPERS), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
    )
    assert "2 passed" in ran.stdout, ran.stdout
    assert ran.returncode == bool(words)
    if words:
        number = (tmp_path / "number").read_text()
        assert f"process {number} was left by test_it.py::test_that_leaves_a_process" in ran.stderr
        assert "and is ended now: sleep 600" in ran.stderr
        stat = Path(f"/proc/{number}/stat")
        assert not stat.exists() or stat.read_text().split()[2] == "Z"
    else:
        assert ran.stderr == ""
