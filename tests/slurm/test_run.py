"""`passband run --profile slurm` on a real SLURM: Ctrl-C, the same command again, and the table."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from place import (
    PATIENCE,
    ROOT,
    STARTED,
    STUDY,
    Place,
    environment,
    network,
    on_slurm,
    output,
    read,
    wait,
)

pytestmark = [pytest.mark.slow, pytest.mark.slurm, pytest.mark.timeout(3600)]

#: `passband`, whose Snakemake queries SLURM every second, see frequent.py.
PASSBAND = f"""
import sys
from passband import cli
from passband.runs import workflow
command = workflow.command
def often(*arguments, **options):
    words = command(*arguments, **options)
    assert words[1:3] == ["-m", "snakemake"]
    return [words[0], {str(ROOT / "tests/slurm/frequent.py")!r}, *words[3:]]
workflow.command = often
sys.exit(cli.main(sys.argv[1:]))
"""
TWO = STUDY | {"grid": STUDY["grid"] | {"defocus_nm": [5]}}


def start(place: Place, profile: str, log: Path) -> subprocess.Popen:
    # Some options of Snakemake have several values, and the study may come after them.
    words = ["run", *on_slurm(profile), "--nocolor", "study.yaml"]
    command = [sys.executable, "-c", PASSBAND, *words]
    with log.open("w") as file:
        process = subprocess.Popen(
            command,
            cwd=place.folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # A shell that runs the tests in the background ignores Ctrl-C for them.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
    STARTED.append(process)
    return process


@pytest.mark.long
@pytest.mark.parametrize("slurm", ["accounting"], indirect=True)
def test_ctrl_c_cancels_the_jobs_and_the_same_command_ends_with_the_table(slurm, tmp_path):
    place = Place(tmp_path, TWO)
    first, second = tmp_path / "first.log", tmp_path / "second.log"
    process = start(place, slurm, first)
    saved = tmp_path / "results/smallest/checkpoints"

    def training() -> bool:
        assert process.poll() is None, read(first)
        return any(saved.glob("*/[!.]*.safetensors"))

    wait("a job saves its state", training)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=PATIENCE) == 130, read(first)
    assert "Stopping. Run the same command again to continue." in read(first)
    wait("its jobs are cancelled", lambda: not output("squeue", "--noheader"))
    networks = [tmp_path / network(condition) for condition in place.conditions]
    assert not all(path.exists() for path in networks)

    process = start(place, slurm, second)
    assert process.wait(timeout=PATIENCE) == 0, read(second)
    assert all(path.exists() for path in networks)
    printed = read(second)
    assert "failed" not in printed
    assert re.search(r"^\| gold, compact-w4-d2 \| .+ \| 2 \| ", printed, re.M)
    assert f"Open {Path('results/smallest/report.html')} in a browser." in printed
    assert (tmp_path / "results/smallest/report.html").stat().st_size > 10_000
    # The jobs ran on the cluster, and the watching page knows it.
    status = [sys.executable, "-m", "passband.cli", "status", "study.yaml", "--watch"]
    watched = subprocess.run(
        status, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert "The study is complete; open results/smallest/report.html" in watched.stdout
