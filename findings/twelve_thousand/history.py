"""What the history says of the locked set: its files keep the bytes that they were committed with.

A file is followed by its content, so that it may move: the history must have no other bytes of it,
and the protocol, the predictions and the result must have been committed in this order. A protocol
may have had drafts before the predictions.
"""

import subprocess
from collections.abc import Iterator, Sequence
from itertools import chain, pairwise, product
from pathlib import Path

from findings.twelve_thousand.pieces import FOLDER
from passband import PassbandError
from passband.words import listed

PROTOCOL = "protocol.md"
RESULT = "locked/result.json"
#: The files that were committed first, then, and last.
PHASES = (
    (PROTOCOL,),
    ("locked/study.yaml", "locked/predictions.npz", "locked/digests.json"),
    ("locked/dice.npz", RESULT),
)
#: The folder of these files, wherever it is and was.
WHERE = ":(glob)**/twelve[-_]thousand"


def git(*words: str | Path) -> str:
    """Return what git prints.

    Raises:
        PassbandError: If git fails.
    """
    run = subprocess.run(["git", *words], capture_output=True, text=True, check=False)
    if run.returncode:
        raise PassbandError(f"git {' '.join(map(str, words))}: {run.stderr.strip()}")
    return run.stdout


def lacking() -> str | None:
    """Return why nothing can be said of the history, or None if it is all there."""
    try:
        is_shallow = git("rev-parse", "--is-shallow-repository").strip()
    except FileNotFoundError:
        return "git is not installed"
    except PassbandError:
        return "this is no git repository"
    if is_shallow == "true":
        return "this clone is shallow; `git fetch --unshallow` gets the history"
    return None


def versions(name: str, of: str = "HEAD", where: str = WHERE) -> list[tuple[str, str]]:
    """Return each commit that gave a file of the lock other bytes, with their blob; oldest first.

    Args:
        name: The file's path in its folder.
        of: What of the history is searched; ``--all`` is all branches.
        where: The pattern of the folder.
    """
    form = ("--reverse", "--topo-order", "-m", "--no-renames", "--raw", "--no-abbrev")
    found: dict[str, str] = {}
    commit = ""
    for line in git("log", of, *form, "--format=%H", "--", f"{where}/{name}").splitlines():
        if not line.startswith(":"):
            commit = line or commit
        elif (blob := line.split()[3]).strip("0"):  # zeros: here, the file was removed
            found.setdefault(blob, commit)
    return [(commit, blob) for blob, commit in found.items()]


def is_before(one: str, other: str) -> bool:
    """Return whether a commit is an ancestor of another."""
    words = ["git", "merge-base", "--is-ancestor", one, other]
    return one != other and subprocess.run(words, check=False).returncode == 0


def check(
    folder: Path = FOLDER, phases: Sequence[tuple[str, ...]] = PHASES, where: str = WHERE
) -> Iterator[str]:
    """Yield a line for each file of the lock, and one for their order.

    Args:
        folder, where: The folder of the files, and the pattern of it.

    Raises:
        PassbandError: If a file has changed since its commit, or the order is another.
    """
    if reason := lacking():
        yield f"skipped: the lock's history: {reason}"
        return
    commits = {}
    for name in chain(*phases):
        found = versions(name, where=where)
        if not found:
            raise PassbandError(f"{folder / name}: has no commit")
        if name != PROTOCOL and len(found) > 1:
            raise PassbandError(
                f"{folder / name}: was committed in {found[0][0]}, and changed in {found[1][0]}"
            )
        commits[name], blob = found[-1]
        if git("hash-object", folder / name).strip() != blob:
            raise PassbandError(f"{folder / name}: differs from the file of {commits[name]}")
        yield f"{name}: the bytes of {commits[name][:12]}"
    for phase, later in pairwise(phases):
        for one, other in product(phase, later):
            if not is_before(commits[one], commits[other]):
                raise PassbandError(
                    f"{folder / one}: is of {commits[one]}, which is not before {commits[other]}, "
                    f"of {other}"
                )
    yield f"committed in this order: {', then '.join(listed(phase) for phase in phases)}"
