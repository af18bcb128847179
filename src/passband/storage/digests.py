"""The list of digests of a published folder: it shows that its files hold together.

A copy that was cut off, a flipped bit or a file of another publication is noticed. The list is no
signature: whoever changes a file on purpose can change the list too. It has the format of the
program ``sha256sum``.
"""

import hashlib
import re
from pathlib import Path

from passband import PassbandError

#: The name of the list.
LIST = "SHA256SUMS"
#: The files that Passband reads in a published folder. None of them may be there without a digest.
_READ = ("weights.safetensors", "likeness.json", "study.yaml", "table.zarr.zip")
#: The largest size of a list [bytes].
_MOST = 10**5
_ADVICE = f"copy the folder again, or delete {LIST} if the change is yours"


def write(folder: Path) -> None:
    """Write the list of all files in a folder."""
    lines = [f"{_digest(path)}  {path.name}\n" for path in sorted(folder.iterdir())]
    (folder / LIST).write_text("".join(lines), encoding="utf-8")


def remark(folder: Path) -> str:
    """Return a line for a folder of an earlier version, which has no list; empty for others."""
    has = (folder / LIST).exists()
    return "" if has else f"{folder} has no {LIST}, so its files are not checked"


def check(folder: Path) -> None:
    """Check the files of a folder, if it has a list.

    Raises
    ------
    PassbandError
        If a file is missing, has another content, or has no digest.
    """
    place = folder / LIST
    if not place.exists():
        return
    if not place.is_file():
        raise PassbandError(f"{place}: is no file")
    with place.open("rb") as file:
        lines = file.read(_MOST).decode(errors="replace").removesuffix("\n").split("\n")
    found = [re.fullmatch(r"([0-9a-f]{64}) [ *]([^/\0]+)", line) for line in lines]
    if not all(found):
        raise PassbandError(f"{place}: is no list of SHA-256 digests; {_ADVICE}")
    known = {each[2]: each[1] for each in found}
    for name in _READ:
        if name not in known and (folder / name).exists():
            raise PassbandError(f"{folder / name}: has no digest in {LIST}; {_ADVICE}")
    for name, digest in known.items():
        path = folder / name
        if not path.is_file():
            raise PassbandError(f"{path}: is missing, but {LIST} has it; {_ADVICE}")
        if _digest(path) != digest:
            raise PassbandError(f"{path}: is not the file that was published; {_ADVICE}")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
