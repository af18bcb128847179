"""How a command is started and stopped."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from passband.runs import child


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_the_exit_status_is_the_commands(capfd):
    for code, status in (("", 0), ("raise SystemExit(3)", 3)):
        assert child.run(python(code), Path()) == child.Ended(status)
    killed = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert child.run(python(killed), Path()).status == 128 + signal.SIGKILL
    assert capfd.readouterr() == ("", "")


SAYS = "import sys; print('säid', flush=True); print('why', file=sys.stderr)"


def test_output_is_written_to_the_streams_of_this_process(capfd, monkeypatch):
    assert child.run(python(SAYS), Path()) == child.Ended(0)  # pytest has replaced the streams
    assert capfd.readouterr() == ("säid\n", "why\n")
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, f"__{name}__", getattr(sys, name))
    assert child.run(python(SAYS), Path()) == child.Ended(0)
    assert capfd.readouterr() == ("säid\n", "why\n")


def test_in_a_notebook_lines_appear_while_the_command_runs(monkeypatch, tmp_path):
    """The command waits for a file that is made when its first line has been shown."""
    seen = tmp_path / "seen"

    class Cell(io.StringIO):
        def write(self, text):
            seen.touch()
            return super().write(text)

    cell = Cell()
    monkeypatch.setattr(sys, "stdout", cell)
    code = "import os, time; print('first', flush=True)\nwhile not os.path.exists({!r}):\n"
    code = code.format(str(seen)) + "    time.sleep(0.01)\nprint('last')"
    assert child.run(python(code), Path()) == child.Ended(0)
    assert cell.getvalue() == "first\nlast\n"


def test_a_text_is_whole_that_is_read_in_pieces(tmp_path):
    with (tmp_path / "said").open("w+b") as file:
        stream = io.StringIO()
        shown = child._Shown(file, stream)
        for byte in "aä€".encode():
            file.write(bytes([byte]))
            file.flush()
            shown.write()
    assert stream.getvalue() == "aä€"


def test_captured_output_is_returned(capfd):
    assert child.run(python(SAYS), Path(), captured=True) == child.Ended(0, "säid\n")
    assert capfd.readouterr() == ("", "why\n")


def test_with_a_look_nothing_is_shown_and_everything_is_returned(capfd):
    looks = []
    code = f"import time; time.sleep(0.5); {SAYS}"
    ended = child.run(python(code), Path(), look=lambda: looks.append(1))
    assert ended == child.Ended(0, "säid\nwhy\n")
    assert looks
    assert capfd.readouterr() == ("", "")


def test_without_a_path_the_systems_own_programs_are_found(monkeypatch):
    """Snakemake's plugin for SLURM calls `which` when it is imported."""
    monkeypatch.delenv("PATH")
    code = "import os; print(os.environ['PATH'])"
    ended = child.run(python(code), Path(), captured=True)
    assert ended.printed == f"{Path(sys.executable).parent}:{os.defpath}\n"


ENDING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT]


@pytest.fixture
def interruptible():
    """Let child processes heed signals, also if this process was started in the background."""
    before = {number: signal.getsignal(number) for number in ENDING}
    for number in ENDING:
        usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, usual)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


CHILD = """
import signal, sys, time
def end(number, frame):
    print("child received", number, flush=True)
    sys.exit(5)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
    signal.signal(number, end)
print("ready", flush=True)
while True:  # signal.pause would wait for ever if the signal came just before it
    time.sleep(0.05)
"""
PARENT = """
import sys
from pathlib import Path
from passband.runs import child
with child.signals_passed_on():
    ended = child.run([sys.executable, "-c", sys.argv[1]], Path())
print("status", ended.status, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", ENDING)
@pytest.mark.parametrize("whole_group", [True, False])
def test_a_signal_reaches_the_command_once(number, whole_group, interruptible):
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, CHILD],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline() == "ready\n"
    (os.killpg if whole_group else os.kill)(process.pid, number)
    said, _ = process.communicate(timeout=120)
    sent = signal.SIGTERM if number == signal.SIGHUP else number  # on which Snakemake saves
    assert said.splitlines() == [f"child received {int(sent)}", f"status {128 + number}"]


def test_a_signal_before_the_start_ends_the_command(monkeypatch, interruptible):
    """Ctrl-C while the command is being started must not leave it behind."""
    start = subprocess.Popen
    started = []

    def interrupted(*arguments, **options):
        os.kill(os.getpid(), signal.SIGINT)
        started.append(start(*arguments, **options))
        return started[0]

    monkeypatch.setattr(subprocess, "Popen", interrupted)
    with child.signals_passed_on():
        assert child.run(["sleep", "300"], Path()).status == 128 + signal.SIGINT
    assert started[0].returncode == -signal.SIGINT


STOPS = """
import os, signal, sys
from pathlib import Path
from passband.runs import child
before = [signal.getsignal(number) for number in signal.valid_signals()]
place = os.getcwd()
try:
    child.run([sys.executable, "-c", sys.argv[1]], Path(sys.argv[2]))
except KeyboardInterrupt:
    print("interrupted", flush=True)
assert before == [signal.getsignal(number) for number in signal.valid_signals()]
assert os.getcwd() == place
print("goes on", flush=True)
"""
#: Saves for a while after SIGINT, and ends only then.
SAVES = CHILD.replace(
    "    sys.exit(5)", "    import time; time.sleep(0.5); print('saved'); sys.exit(5)"
)


@pytest.mark.slow
def test_ctrl_c_stops_the_command_and_python_goes_on(tmp_path, interruptible):
    process = subprocess.Popen(
        [*python(STOPS), SAVES, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=120)
    expected = [f"child received {int(signal.SIGINT)}", "saved", "interrupted", "goes on"]
    assert said.splitlines() == expected


def test_a_command_that_is_not_looked_at_any_more_ends(tmp_path):
    """An error in a user's function for the progress stops the jobs, too."""
    file = tmp_path / "process"

    def look():
        if file.exists() and file.read_text():
            raise ZeroDivisionError

    code = f"import os, time; open({str(file)!r}, 'w').write(str(os.getpid())); time.sleep(300)"
    with pytest.raises(ZeroDivisionError):
        child.run(python(code), Path(), look=look)
    with pytest.raises(ProcessLookupError):
        os.kill(int(file.read_text()), 0)


def test_ctrl_c_before_the_start_leaves_nothing_behind(monkeypatch, interruptible):
    start = subprocess.Popen
    started = []

    def interrupted(*arguments, **options):
        started.append(start(*arguments, **options))
        os.kill(os.getpid(), signal.SIGINT)
        return started[0]

    monkeypatch.setattr(subprocess, "Popen", interrupted)
    with pytest.raises(KeyboardInterrupt):
        child.run(["sleep", "300"], Path())
    assert started[0].returncode == -signal.SIGINT


def test_an_ignored_hangup_stays_ignored():
    """As with nohup: the study goes on if the terminal is closed."""
    process = subprocess.Popen(
        ["sh", "-c", 'trap "" HUP; exec "$0" -c "$1" "$2"', sys.executable, PARENT,
         "import time; print('ready', flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    os.kill(process.pid, signal.SIGHUP)
    said, _ = process.communicate("go on\n", timeout=120)
    assert said == "status 0\n"
