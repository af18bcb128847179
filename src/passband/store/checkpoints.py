"""Saved states of training, from which an interrupted job resumes.

A state's file is either complete or absent, and only the job that wrote the file can use it.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from passband.storage import DamagedError, lease, weights
from passband.storage.atomic import replacing

if TYPE_CHECKING:
    from torch import Tensor


def save(path: Path, digest: str, tensors: dict[str, Tensor], progress: dict) -> None:
    """Write a state of training to a file. The file is either complete or absent.

    Args:
        path: A safetensors file that is not an output of the workflow.
        digest: That of everything that the state depends on.
        tensors: All tensors of the state, such as weights and the optimizer's state.
        progress: The rest of the state, as values that JSON can write.
    """
    tensors = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    metadata = {"digest": digest, "progress": progress}
    with replacing(path) as beside:
        weights.write(tensors, beside, metadata)


def load(path: Path, digest: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Return the tensors and the progress of a saved state, or None if there is no state.

    If the file is damaged or has another digest, it is removed. Code in the file is not run.

    Raises:
        NewerError, UnreachableError: If a newer version of Passband wrote the file, or if the file
            cannot be read now. The file is not removed.
        LostError: If another job has taken over the work. Then the saved state may belong to the
            other job.
    """
    if not path.exists():
        return None
    try:
        tensors, metadata = weights.read(path)
        if metadata.get("digest") == digest and "progress" in metadata:
            return cast("dict[str, Tensor]", tensors), cast("dict[str, Any]", metadata["progress"])
    except DamagedError:
        pass
    lease.confirm()
    path.unlink(missing_ok=True)
    return None


def clear(folder: Path) -> None:
    """Remove all saved states of a finished job.

    Raises:
        LostError: If another job has taken over the work. Then the states may belong to the other
            job.
    """
    lease.confirm()
    shutil.rmtree(folder, ignore_errors=True)
