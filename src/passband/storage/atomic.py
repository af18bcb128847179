"""Atomic writes: a file is written under a temporary name in its folder, and then renamed.

So the final path of a file has either a complete file or no file.
"""

import asyncio
import contextlib
import glob
import os
import re
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from passband.storage import lease
from passband.storage.integrity import FullError, disk_full_error


def temporary(name: str) -> str:
    """Return a file's name until it is whole, with its suffix, by which writers choose a format."""
    return f".{socket.gethostname()}-{os.getpid()}.{name}"


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path; if the block succeeds, rename it to `path`, otherwise remove it.

    The temporary path is in the same folder as `path`.

    Args:
        path: The final path of a file or directory. An existing file or directory at this path is
            replaced. Only files are replaced atomically.

    Raises:
        FullError: If there is no space left on the disk.
        LostError: If another job has taken over the work of this job; see
            :mod:`passband.storage.lease`.
    """
    path = Path(path)
    beside = path.with_name(temporary(path.name))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if lease.confirm():
            _clear(path)
        yield beside
        lease.confirm()
        if path.is_dir():
            old = path.with_name(temporary(f"old.{path.name}"))
            path.rename(old)
            try:
                beside.rename(path)
            except OSError:
                old.rename(path)
                raise
            remove(old)
        else:
            beside.replace(path)
    except Exception as error:
        wait_for_writes()
        if full := disk_full_error(error):
            raise FullError(path, full) from None
        if isinstance(error, OSError) and error.filename == str(beside):
            error.filename = str(path)  # the name that a user knows
        raise
    finally:
        remove(beside)


def link(path: str | Path, to: str | Path) -> None:
    """Link a finished file to a second path, or copy it if the file system has no hard links.

    The file remains at the second path when the first path is deleted.

    Args:
        to: The second path. An existing file at the second path is replaced.
    """
    if lease.confirm():
        _clear(Path(path))
    with replacing(to) as beside:
        try:
            os.link(path, beside)
        except OSError:
            shutil.copy2(path, beside)


def remove(path: Path) -> None:
    """Remove a file, a link or a directory, if it exists. What a link names stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def clear_ended(folder: Path) -> None:
    """Remove the temporary files in a folder whose processes, on this machine, have ended."""
    own = f".{socket.gethostname()}-"
    for left in folder.glob(f"{glob.escape(own)}*"):
        number, dot, _ = left.name.removeprefix(own).partition(".")
        if dot and number.isdecimal() and not _is_running(int(number)):
            with contextlib.suppress(OSError):  # a file that cannot be removed does no harm
                remove(left)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def wait_for_writes() -> None:
    """Wait until zarr writes nothing any more.

    After one chunk could not be written, as on a full disk, zarr goes on with others. So a folder
    that is removed at once would come back.
    """
    zarr = sys.modules.get("zarr.core.sync")
    if zarr is None or zarr.loop[0] is None:
        return

    async def ended() -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)

    zarr.sync(ended())


def _clear(path: Path) -> None:
    """Remove the temporary files of a path that killed jobs left behind.

    Only the job that has the lease may call this function: while a job has the lease, no other job
    writes to this path.
    """
    # `datasets.write` first writes a zip file's content to a folder without the suffix `.zip`.
    for name in {path.name, path.name.removesuffix(".zip")}:
        own = re.compile(rf"\..+-\d+\.(old\.)?{re.escape(name)}")  # see `temporary`
        for left in glob.glob(f".*.{glob.escape(name)}", root_dir=path.parent):
            if own.fullmatch(left):
                with contextlib.suppress(OSError):  # a file that cannot be removed does no harm
                    remove(path.with_name(left))
