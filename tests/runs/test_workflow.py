"""How Snakemake is started and stopped."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from passband import PassbandError
from passband.runs import workflow

ROOT = Path(__file__).resolve().parents[2]


def test_the_command_in_another_folder_names_the_workflow_and_the_profile(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = workflow.command(Path("a/config.yaml"), Path(), ["x"], profile="slurm", words=["-k"])
    assert words[1:3] == ["-m", "snakemake"]
    assert words[words.index("--snakefile") + 1] == str(ROOT / "Snakefile")
    assert words[words.index("--profile") + 1] == str(ROOT / "profiles/slurm")
    assert words[words.index("--workflow-profile") + 1] == "none"
    assert words[-5:] == ["-k", "--configfile", "a/config.yaml", "--", "x"]
    assert "--cores" not in words


def test_the_command_in_a_clone_is_short(monkeypatch):
    monkeypatch.chdir(ROOT)
    words = workflow.command(Path("config.yaml"), Path(), cores="2")
    assert words[3:7] == ["--logger", "passband", "--profile", "none"]
    assert words[-4:] == ["--cores", "2", "--configfile", "config.yaml"]


@pytest.mark.slow  # Snakemake's imports
def test_snakemake_reads_the_options_as_it_reads_the_profile_of_all_runs(tmp_path):
    from snakemake.cli import get_argument_parser

    given = get_argument_parser().parse_args(workflow.command(Path("config.yaml"), tmp_path)[3:])
    read = get_argument_parser(profiles=[str(ROOT / "profiles/default")]).parse_args([])
    for name in ("rerun_incomplete", "rerun_triggers"):
        assert getattr(given, name) == getattr(read, name)
    assert str(given.report_stylesheet) == str(ROOT / read.report_stylesheet)
    keys = yaml.safe_load((ROOT / "profiles/default/config.yaml").read_text())
    assert list(keys) == ["rerun-incomplete", "rerun-triggers", "report-stylesheet"]


def test_snakemake_itself_reads_a_profile_of_all_runs_with_a_block(tmp_path, monkeypatch):
    for path in ("Snakefile", "workflow/rules/common.smk", "src/passband/__init__.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    monkeypatch.setattr("passband.repository.__file__", str(tmp_path / "src/passband/__init__.py"))
    profile = tmp_path / "profiles/default"
    profile.mkdir(parents=True)
    (profile / "config.yaml").write_text("set-threads: {train: 4}\nkeep-going: true\n")
    words = workflow.command(Path("config.yaml"), tmp_path)
    assert words[words.index("--workflow-profile") + 1] == str(profile)
    assert "--keep-going" not in words
    (profile / "config.yaml").write_text("keep-going: true\nforce: false\nretries: 3\n")
    words = workflow.command(Path("config.yaml"), tmp_path)
    start = words.index("--keep-going")
    expected = ["--keep-going", "--retries", "3", "--workflow-profile", "none"]
    assert words[start : start + 5] == expected


def test_a_profile_is_passbands_by_name_and_a_users_by_its_path_from_here(tmp_path, monkeypatch):
    here, theirs = tmp_path / "here", tmp_path / "theirs"
    for folder in (here / "mine", here / "slurm", theirs / "mine", theirs / "slurm"):
        folder.mkdir(parents=True)
    monkeypatch.chdir(here)

    def profile(name):
        words = workflow.command(Path("config.yaml"), theirs, profile=name)
        return words[words.index("--profile") + 1]

    monkeypatch.delenv("SNAKEMAKE_PROFILE", raising=False)
    assert profile(None) == "none"
    monkeypatch.setenv("SNAKEMAKE_PROFILE", "")
    assert profile(None) == "none"
    assert profile("./mine") == str(here / "mine")
    assert profile("../theirs/slurm") == str(theirs / "slurm")
    passbands = str(ROOT / "profiles/slurm")
    assert profile("slurm") == passbands
    refused = ": must be one of perlmutter, slurm, slurm-noaccounting, or the path of another"
    for name in ("mine", "nowhere", "./nowhere"):
        with pytest.raises(PassbandError, match=f"^--profile = '{name}'{refused}"):
            profile(name)
    monkeypatch.setenv("SNAKEMAKE_PROFILE", "slurm")
    assert profile(None) == passbands
    assert "--cores" not in workflow.command(Path("config.yaml"), theirs)
    monkeypatch.setenv("SNAKEMAKE_PROFILE", "mine")
    assert profile("slurm") == passbands
    with pytest.raises(PassbandError, match=f"^SNAKEMAKE_PROFILE = 'mine'{refused}"):
        profile(None)


def test_a_default_profile_of_the_users_folder_is_named_as_not_loaded(tmp_path):
    assert workflow.profiles_left_out(tmp_path) == []
    (tmp_path / "profiles/default").mkdir(parents=True)
    where = tmp_path / "profiles/default"
    said = f"{where} is not loaded; if it is yours, give --profile {where}"
    assert workflow.profiles_left_out(tmp_path) == [said]
    # Passband's own profile is loaded, in a clone too.
    assert workflow.profiles_left_out(ROOT) == []


def test_the_exit_status_is_the_commands(capfd):
    for code, status in (("", 0), ("raise SystemExit(3)", 3)):
        assert workflow.run([sys.executable, "-c", code], Path()) == status
    killed = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert workflow.run([sys.executable, "-c", killed], Path()) == 128 + signal.SIGKILL
    assert capfd.readouterr() == ("", "")


def test_a_quiet_commands_output_appears_only_if_it_fails(capfd):
    code = "import sys; print('said', flush=True); print('why', file=sys.stderr); sys.exit({})"
    assert workflow.run([sys.executable, "-c", code.format(0)], Path(), quiet=True) == 0
    assert capfd.readouterr() == ("", "")
    assert workflow.run([sys.executable, "-c", code.format(1)], Path(), quiet=True) == 1
    assert capfd.readouterr() == ("", "said\nwhy\n")
    # Otherwise the command writes to the terminal itself.
    assert workflow.run([sys.executable, "-c", code.format(0)], Path()) == 0
    assert capfd.readouterr() == ("said\n", "why\n")


def test_what_a_dry_run_lists_is_printed_by_this_process(capsys):
    assert workflow.run([sys.executable, "-c", "print('listed')", "--dry-run"], Path()) == 0
    assert capsys.readouterr().out == "listed\n"


def test_without_a_path_the_systems_own_programs_are_found(monkeypatch, capsys):
    """Snakemake's plugin for SLURM calls `which` when it is imported."""
    monkeypatch.delenv("PATH")
    code = "import os; print(os.environ['PATH'])"
    assert workflow.run([sys.executable, "-c", code, "--dry-run"], Path()) == 0
    assert capsys.readouterr().out == f"{Path(sys.executable).parent}:{os.defpath}\n"


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
import signal, sys
def end(number, frame):
    print("child received", number, flush=True)
    sys.exit(5)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
    signal.signal(number, end)
print("ready", flush=True)
signal.pause()
"""
PARENT = """
import sys
from pathlib import Path
from passband.runs import workflow
print("status", workflow.run([sys.executable, "-c", sys.argv[1]], Path()), flush=True)
"""


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
    start, started = subprocess.Popen, []

    def interrupted(*arguments, **options):
        os.kill(os.getpid(), signal.SIGINT)
        started.append(start(*arguments, **options))
        return started[0]

    monkeypatch.setattr(subprocess, "Popen", interrupted)
    assert workflow.run(["sleep", "300"], Path()) == 128 + signal.SIGINT
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
