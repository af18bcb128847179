"""The provenance of a store: the study, Passband's version and the command that made the store."""

import subprocess
from datetime import UTC, datetime
from functools import cache

from passband import repository
from passband.errors import PassbandError
from passband.version import __version__

#: The attribute with the study's own parts, in JSON.
OWN_PARTS = "own_parts"


def attributes(study: str, digest: str, command: str) -> dict[str, str]:
    """Return the provenance attributes that every store has.

    Args:
        study: The study's name.
        digest: Digest of the study's configuration.
        command: The command that makes the store again.

    Returns:
        study, config_digest, passband_version, git_revision, command, created (UTC, ISO 8601).
    """
    return {
        "study": study,
        "config_digest": digest,
        "passband_version": __version__,
        "git_revision": _git_revision(),
        "command": command,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


@cache
def _git_revision() -> str:
    """Return the code's git revision, ``-dirty`` after changes, or ``unknown``."""
    describe = ["describe", "--always", "--dirty", "--abbrev=12"]
    try:
        root = repository.folder()
        # Otherwise a package in an environment would have the revision of a repository around it.
        git = ["git", f"--git-dir={root / '.git'}", f"--work-tree={root}", *describe]
        answer = subprocess.run(git, cwd=root, capture_output=True, text=True, timeout=30)
    except (PassbandError, OSError, subprocess.TimeoutExpired):
        return "unknown"
    return answer.stdout.strip() or "unknown"
