"""Runs the scripts of Snakemake's jobs in forks of a process that has imported what they import.

The imports of a job take seconds, and its work on a small study takes less than one. As a program
with one argument, the number of its socket, this module is the process with the imports. With the
name of the socket and a script, it is a job: a fork runs the script with the folder, environment
and output of the job, and the job ends as the fork ends.
"""

import json
import os
import socket
import sys

#: Beginnings of variables that Python and its libraries read when they start.
_EARLY = "PYTHON", "NUMBA", "PASSBAND_OWN_SETTINGS"
#: What the functions `main` of the scripts import.
_LIBRARIES = (
    "passband.jobs.evaluation",
    "passband.jobs.missing_networks",
    "passband.learning.training",
    "passband.specimens.exit_waves",
    "snakemake.script",
)


def _early(environment: dict) -> dict:
    return {key: value for key, value in environment.items() if key.startswith(_EARLY)}


def _job(name: str, script: str) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.connect("\0" + name)
        socket.send_fds(server, [b"."], [0, 1, 2])
        server.sendall(json.dumps([script, os.getcwd(), dict(os.environ)]).encode())
        server.shutdown(socket.SHUT_WR)
        status = json.loads(server.makefile().read())
    if status is None:  # a process with another environment must import the libraries
        os.execv(sys.executable, [sys.executable, script])
    if status < 0:
        os.kill(os.getpid(), -status)
    sys.exit(status)


def _serve(listener: socket.socket) -> None:
    """Answer jobs until the standard input is closed."""
    import selectors

    selector, ready = selectors.DefaultSelector(), False
    selector.register(listener, selectors.EVENT_READ)
    selector.register(sys.stdin, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is sys.stdin:
                return
            if key.fileobj is not listener:  # a fork has ended
                child, connection = key.data
                _answer(connection, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
                selector.unregister(key.fileobj)
                os.close(key.fileobj)
                continue
            if not ready:
                _import()
                ready = True
            connection, _ = listener.accept()
            _, files, *_ = socket.recv_fds(connection, 1, 3)
            script, folder, environment = json.loads(connection.makefile().read())
            if _early(environment) != _early(os.environ):
                _answer(connection, None)
            elif child := os.fork():
                selector.register(os.pidfd_open(child), selectors.EVENT_READ, (child, connection))
            else:
                os._exit(_run(script, folder, environment, files))
            for file in files:
                os.close(file)


def _answer(connection: socket.socket, status: int | None) -> None:
    with connection:
        connection.sendall(json.dumps(status).encode())


def _import() -> None:
    import gc
    import importlib
    import runpy
    from pathlib import Path

    for script in (Path(__file__).parents[2] / "workflow/scripts").glob("*.py"):
        runpy.run_path(str(script))
    for library in _LIBRARIES:
        importlib.import_module(library)
    gc.freeze()  # the forks share this memory


def _run(script: str, folder: str, environment: dict, files: list[int]) -> int:
    """Do in this process what Python does with a script, and return the exit status."""
    import runpy

    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, file in enumerate(files):
        os.dup2(file, number)
    sys.argv[:], sys.orig_argv[:] = [script], [sys.executable, script]
    status = 0
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        status = 1
        sys.excepthook(*sys.exc_info())
    sys.stdout.flush()
    sys.stderr.flush()
    return status


if __name__ == "__main__":
    if len(sys.argv) == 2:
        _serve(socket.socket(fileno=int(sys.argv[1])))
    else:
        _job(*sys.argv[1:])
