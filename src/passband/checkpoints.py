"""The state an interrupted job goes on from: files that are whole, of this job, or removed."""

import os
from pathlib import Path

from torch import Tensor

from passband import networks
from passband.store import DamagedError, replacing


def save(path: Path, context: str, tensors: dict[str, Tensor], progress: dict) -> None:
    """Write a state, whole or not at all.

    Parameters
    ----------
    path : path
        A safetensors file outside the workflow's outputs.
    context : str
        Digest of all that the state depends on.
    tensors : dict of str to Tensor
        Weights, optimizer state and the like.
    progress : dict
        The rest; values must be JSON's.
    """
    tensors = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    metadata = {"context": context, "progress": progress}
    with replacing(path) as beside:
        networks.write(tensors, beside, metadata)
        with beside.open("rb+") as handle:
            os.fsync(handle.fileno())  # or a failing node leaves the new name and no content


def load(path: Path, context: str) -> tuple[dict[str, Tensor], dict] | None:
    """Return the tensors and the progress of a state, or None if there is none.

    A file that is torn, damaged or of another context is removed. Nothing in it is executed.
    """
    if not path.exists():
        return None
    try:
        tensors, metadata = networks.read(path)
        if metadata.get("context") == context and "progress" in metadata:
            return tensors, metadata["progress"]
    except DamagedError:
        pass
    path.unlink(missing_ok=True)
    return None
