"""Runs Snakemake in forks of a process that has imported it, since imports take over a second.

The fork does what ``python -m snakemake`` does, but its jobs run in forks, too, see `job_server`.
As a program, this module is the process with the imports: it reads a request in each line of its
standard input, and answers each with a line.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

_PATH = "PYTHONPATH"
JOBS = str(Path(__file__).with_name("job_server.py"))

#: All servers of this process.
SERVERS: list["Server"] = []


class Server:
    """The process with the imports, which starts with the first run."""

    def __init__(self):
        SERVERS.append(self)
        self._process: subprocess.Popen | None = None
        self._path = ""
        #: Processor time of all runs, of their child processes and of their jobs [s].
        self.cpu_seconds = 0.0

    def run(self, folder: Path, *arguments: str) -> tuple[int, str]:
        """Run Snakemake in a folder, and return its exit status and its output."""
        path = os.environ.get(_PATH, "")
        if self._process is None or self._path != path:  # other packages may be imported
            self.stop()
            self._path, self._process = (
                path,
                subprocess.Popen(
                    [sys.executable, __file__],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    start_new_session=True,
                ),
            )
        with tempfile.NamedTemporaryFile("r", encoding="utf-8") as printed:
            request = [str(folder), [*arguments], dict(os.environ), printed.name]
            print(json.dumps(request), file=self._process.stdin, flush=True)
            status, used = json.loads(self._process.stdout.readline())
            self.cpu_seconds += used
            return status, printed.read()

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.communicate()
            self._process = None


def _serve() -> None:
    import snakemake.cli

    jobs = _serve_jobs()
    for line in sys.stdin:
        folder, arguments, environment, printed = json.loads(line)
        before = _seconds_of_children(jobs.pid)
        child = os.fork()
        if not child:
            status = 1
            with contextlib.suppress(BaseException):
                status = _run(snakemake.cli, folder, arguments, environment, printed)
            os._exit(status)
        _, ended, used = os.wait4(child, 0)
        status = os.waitstatus_to_exitcode(ended)
        seconds = used.ru_utime + used.ru_stime + _seconds_of_children(jobs.pid) - before
        print(json.dumps([status, seconds]), flush=True)
    jobs.communicate()


def _seconds_of_children(process: int) -> float:
    """Return the processor time of all children of a process that have ended [s]."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def _serve_jobs() -> subprocess.Popen:
    """Start the process of `job_server`, which runs all scripts of Snakemake's jobs from now on."""
    from snakemake.script import PythonScript

    name = f"passband-tests-{os.getpid()}"
    # What the Snakefile and Snakemake set for a job, and libraries read when they are imported.
    early = {"PYTHONSAFEPATH": "1", "PASSBAND_OWN_SETTINGS": "1"}
    early |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("\0" + name)
        listener.listen(64)
        jobs = subprocess.Popen(
            [sys.executable, JOBS, str(listener.fileno())],
            env=os.environ | early,
            pass_fds=[listener.fileno()],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )

    def execute_script(self, fname: str, edit: bool = False) -> None:
        words = {"python": sys.executable, "jobs": JOBS, "name": name, "fname": fname}
        command = "{python:q} -I -S {jobs:q} {name} {fname:q}"
        self._execute_cmd(command, **words, is_python_script=True)

    PythonScript.execute_script = execute_script
    return jobs


def _run(cli, folder: str, arguments: list[str], environment: dict, printed: str) -> int:
    """Run Snakemake in this process, and return its exit status."""
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    with open(os.devnull) as empty, open(printed, "w") as file:
        os.dup2(empty.fileno(), 0)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv[:] = ["snakemake", *arguments]
    sys.path[0] = folder  # as with -m
    try:
        cli.main()
        return 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        raise
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


if __name__ == "__main__":
    _serve()
