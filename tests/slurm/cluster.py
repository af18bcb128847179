#!/usr/bin/env python3
"""A real SLURM on this machine, for tests: controller, node daemons with fake GPUs, accounting.

    tests/slurm/cluster.py install              # Debian's packages; only this command installs
    tests/slurm/cluster.py start --accounting   # with slurmdbd and MariaDB, or --no-accounting
    tests/slurm/cluster.py status
    tests/slurm/cluster.py stop                 # ends all daemons and removes all files

The script needs root. It needs neither systemd nor cgroups, so it runs in a container. All files
are in one folder, except the configuration in /etc/slurm: Snakemake's plugin removes SLURM_* from
the environment, so the commands find their configuration only there. The script changes only a
cluster that it started itself.
"""

import argparse
import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PACKAGES = (
    "btrfs-progs",  # for a disk with a quota
    "mariadb-server",
    "munge",
    "slurm-client",
    "slurm-wlm-basic-plugins",
    "slurm-wlm-mysql-plugin",
    "slurmctld",
    "slurmd",
    "slurmdbd",
)
PROGRAMS = ("munged", "slurmctld", "slurmd", "slurmdbd", "mariadbd", "sbatch", "sacct")
NODES = ("gpu1", "gpu2", "gpu3", "gpu4", "gpu5", "gpu6")
GPUS_PER_NODE = 2
CLUSTER = "passband"
PORT = 17000  # this port and the next few, only on the loopback interface

STATE = Path("/var/tmp/passband-slurm")
ETC = Path("/etc/slurm")
CONFIGURATION = ("slurm.conf", "gres.conf", "cgroup.conf", "slurmdbd.conf")
MARK = "# Written by Passband's tests/slurm/cluster.py, whose `stop` removes it.\n"
LOGS, PIDS = STATE / "log", STATE / "pid"

#: The daemons that this very process started, for it to reap.
_children: dict[int, subprocess.Popen] = {}


class ClusterError(RuntimeError):
    """SLURM cannot be started, or does not answer. The message says why."""


def missing() -> str | None:
    """Return why SLURM cannot be started on this machine, or None if it can."""
    if os.geteuid() != 0:
        return "SLURM's daemons are started as root only"
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    if absent:
        return f"not installed: {', '.join(absent)} (tests/slurm/cluster.py install)"
    if not _own() and any((ETC / name).exists() for name in CONFIGURATION):
        return f"{ETC} holds another cluster's configuration"
    return None


def install() -> None:
    """Install Debian's packages without starting their services."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    subprocess.run(["apt-get", "update", "-qq"], check=True, env=environment)
    command = ["apt-get", "install", "-qq", "--yes", "--no-install-recommends", *PACKAGES]
    subprocess.run(command, check=True, env=environment, stdin=subprocess.DEVNULL)


def start(accounting: bool) -> None:
    """Stop a running cluster of this script, start a new one, and wait until its nodes are idle.

    Args:
        accounting: Whether the cluster has an accounting database, so that ``sacct`` answers.

    Raises:
        ClusterError: If this machine cannot start it, or if it does not answer.
    """
    if reason := missing():
        raise ClusterError(reason)
    stop()
    for folder in (LOGS, PIDS, STATE / "controller", STATE / "munge", ETC):
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    _configure(accounting)
    try:
        _start_munge()
        if accounting:
            _start_accounting()
        start_controller()
        for node in NODES:
            start_node(node)
        idle = ["idle"] * len(NODES)
        _until(NODES[-1], lambda: _output("sinfo", "-hNp", "main", "-o%T").split() == idle)
    except BaseException:
        stop()
        raise


def start_controller() -> None:
    """Start SLURM's controller, which may have been killed, and wait until it answers."""
    _daemon("slurmctld", "slurmctld", "-D")
    _until("slurmctld", lambda: "is UP" in _output("scontrol", "ping"))


def start_node(node: str) -> None:
    """Start the daemon of one node, which may have been killed before."""
    _daemon(node, "slurmd", "-D", "-N", node)


def pid(daemon: str) -> int:
    """Return the process number of a daemon: a node's name, ``slurmctld``, ``slurmdbd``, …"""
    return int((PIDS / daemon).read_text())


def stop() -> None:
    """Cancel all jobs, end all daemons that this script started, and remove their files."""
    if _own() and (PIDS / "slurmctld").exists():
        with contextlib.suppress(subprocess.SubprocessError):
            subprocess.run(["scancel", "--me"], timeout=10, capture_output=True)
            for _ in range(150):
                if not _output("squeue", "--noheader"):
                    break
                time.sleep(0.1)
    # The daemons that other daemons need are ended last.
    for name in (*NODES, "slurmctld", "slurmdbd", "mariadbd", "munged"):
        if (PIDS / name).exists():
            _end(pid(name), name)
    if _own():
        _end_jobs()
    shutil.rmtree(STATE, ignore_errors=True)
    if _own():
        # The mark is removed last, so that an interrupted stop can be repeated.
        for name in reversed(CONFIGURATION):
            (ETC / name).unlink(missing_ok=True)


def accounting() -> bool | None:
    """Return whether the cluster that was started has an accounting database; None if none was."""
    return (ETC / "slurmdbd.conf").exists() if _own() else None


def status() -> str:
    """Return a few lines about the running daemons."""
    if accounting() is None:
        return "no cluster was started"
    kind = "with" if accounting() else "without"
    nodes = _output("sinfo", "--Node", "--long")
    return f"{kind} accounting, logs in {LOGS}\n{nodes}\n{_output('squeue')}"


def _own() -> bool:
    """Return whether this script wrote the present configuration of SLURM."""
    return (ETC / "slurm.conf").exists() and (ETC / "slurm.conf").read_text().startswith(MARK)


def _configure(accounting: bool) -> None:
    host, nodes = socket.gethostname().partition(".")[0], ",".join(NODES)
    devices = []
    for gpu in range(GPUS_PER_NODE):
        # SLURM drains a node whose GPUs are not device files. These behave like /dev/null.
        devices.append(STATE / f"gpu{gpu}")
        subprocess.run(["mknod", devices[-1], "c", "1", "3"], check=True)
    files = STATE / f"gpu[0-{GPUS_PER_NODE - 1}]"
    storage = "slurmdbd" if accounting else "none"
    ports = f"{PORT + 10 + 1}-{PORT + 10 + len(NODES)}"
    (ETC / "slurm.conf").write_text(
        MARK
        + f"""
ClusterName={CLUSTER}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={PORT}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={STATE}/munge/socket,cred_expire=10
StateSaveLocation={STATE}/controller
SlurmctldLogFile={LOGS}/slurmctld.log
SlurmctldPidFile={STATE}/slurmctld.pid
SlurmdSpoolDir={STATE}/spool-%n
SlurmdLogFile={LOGS}/%n.log
SlurmdPidFile={STATE}/%n.pid

# Neither cgroups nor memory limits: a container does not have them.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides

# As on a real cluster, with shorter waits. A requeued job waits in the queue until its credential
# expires (cred_expire).
ReturnToService=2
MinJobAge=3600
KillWait=2
SlurmdTimeout=30
SchedulerParameters=sched_interval=2,bf_interval=5,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE

AccountingStorageType=accounting_storage/{storage}
AccountingStorageHost=127.0.0.1
AccountingStoragePass={STATE}/munge/socket
AccountingStoragePort={PORT + 1}

GresTypes=gpu
NodeName={nodes} NodeHostname={host} NodeAddr=127.0.0.1 Port=[{ports}] CPUs=16 RealMemory=128000 \
Gres=gpu:{GPUS_PER_NODE} State=UNKNOWN
# Jobs start on the least busy node. A job in `urgent` sends jobs of `main` back to the queue.
PartitionName=main Nodes={nodes} Default=YES PriorityTier=1 LLN=yes
PartitionName=urgent Nodes={nodes} PriorityTier=10 PreemptMode=OFF
"""
    )
    (ETC / "gres.conf").write_text(f"NodeName={nodes} Name=gpu File={files}\n")
    (ETC / "cgroup.conf").write_text("CgroupPlugin=disabled\n")
    if not accounting:
        return
    database = ETC / "slurmdbd.conf"
    database.touch(mode=0o600)
    password = secrets.token_hex(16)
    database.write_text(
        f"""{MARK}
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={PORT + 1}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={STATE}/munge/socket
LogFile={LOGS}/slurmdbd.log
PidFile={STATE}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={PORT + 2}
StorageUser=slurm
StoragePass={password}
StorageLoc=slurm
"""
    )
    user = f"slurm@'127.0.0.1' IDENTIFIED BY '{password}'"
    (STATE / "init.sql").touch(mode=0o600)
    (STATE / "init.sql").write_text(
        f"CREATE DATABASE slurm;\nCREATE USER {user};\nGRANT ALL ON slurm.* TO slurm@'127.0.0.1';\n"
    )


def _start_munge() -> None:
    folder = STATE / "munge"
    key = folder / "key"
    key.touch(mode=0o600)
    key.write_bytes(secrets.token_bytes(128))
    places = {"key-file": key, "socket": folder / "socket", "pid-file": folder / "pid"}
    places |= {"log-file": LOGS / "munged.log", "seed-file": folder / "seed"}
    _daemon("munged", "munged", "--foreground", *(f"--{k}={v}" for k, v in places.items()))
    _until("munged", (folder / "socket").exists)


def _start_accounting() -> None:
    data = STATE / "database"
    command = ["mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={data}"]
    with (LOGS / "mariadbd.log").open("w") as log:
        subprocess.run([*command, "--skip-test-db"], check=True, stdout=log, stderr=log)
    _daemon(
        "mariadbd",
        *("mariadbd", "--no-defaults", "--user=root", f"--datadir={data}"),
        *("--bind-address=127.0.0.1", f"--port={PORT + 2}", f"--socket={STATE}/mariadb.socket"),
        *("--skip-name-resolve", "--innodb-flush-log-at-trx-commit=0"),
        *(f"--init-file={STATE}/init.sql", f"--pid-file={STATE}/mariadbd.pid"),
    )
    _until("mariadbd", lambda: _listens(PORT + 2))
    _daemon("slurmdbd", "slurmdbd", "-D")
    _until("slurmdbd", lambda: _listens(PORT + 1))


def _daemon(name: str, *command: str) -> None:
    """Start a program that continues after this script, and does not keep its streams open."""
    with (LOGS / f"{name}.out").open("a") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,
        )
    _children[process.pid] = process
    (PIDS / name).write_text(str(process.pid))


def _end(process: int, name: str) -> None:
    """End a process by SIGTERM, then by SIGKILL, unless its number belongs to a new process."""
    program = "slurmd" if name in NODES else name
    for what in (signal.SIGTERM, signal.SIGKILL):
        for _ in range(100):
            if process in _children:
                _children[process].poll()
            try:
                if (Path("/proc") / str(process) / "comm").read_text().strip() != program:
                    return
                os.kill(process, what)
            except (FileNotFoundError, ProcessLookupError):
                return
            time.sleep(0.1)


def _end_jobs() -> None:
    """End what the daemons have left of their jobs.

    Without cgroups, SLURM does not find a job's process whose parent has ended, and a slurmstepd
    waits for a controller that does not come back.
    """
    name = f"SLURM_CLUSTER_NAME={CLUSTER}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            is_step = (folder / "comm").read_text().strip() == "slurmstepd"
            if is_step or name in (folder / "environ").read_bytes().split(b"\0"):
                os.kill(int(folder.name), signal.SIGKILL)


def _until(daemon: str, ready: Callable[[], bool], seconds: float = 300) -> None:
    """Wait until a started daemon answers; otherwise raise an error with its log."""
    deadline = time.monotonic() + seconds
    while not ready():
        ended = _children[pid(daemon)].poll() is not None
        if ended or time.monotonic() > deadline:
            log = (LOGS / f"{daemon}.out").read_text(errors="replace").splitlines()[-10:]
            raise ClusterError("\n".join([f"{daemon} did not come up:", *log]))
        time.sleep(0.1)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, dest="command")
    commands.add_parser("install", help="install Debian's packages")
    starting = commands.add_parser("start", help="start a cluster, in place of one running")
    starting.add_argument("--accounting", action=argparse.BooleanOptionalAction, required=True)
    commands.add_parser("status", help="say what is running")
    commands.add_parser("stop", help="end everything and remove its files")
    options = parser.parse_args()
    try:
        if options.command == "install":
            install()
        elif options.command == "start":
            start(options.accounting)
        elif options.command == "stop":
            stop()
        if options.command in ("start", "status"):
            print(status())
    except ClusterError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
