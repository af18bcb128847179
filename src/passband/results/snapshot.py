"""The copy of the configuration that Snakemake writes for its jobs when it starts.

A job on a cluster reads the workflow and its configuration again, minutes or days after Snakemake
read them. If jobs read the study's file, an edit would change jobs that are already submitted: one
table would mix networks of the old and of the new configuration. Snakemake therefore gives its jobs
a copy. The copy's name is the digest of the copy's content. Beside it is a copy of the study's own
parts, if it has any.
"""

import json
import re
import shutil
from pathlib import Path

from passband.config import PARTS, SOURCE
from passband.results import layout
from passband.results.study_folder import Results

#: The names of copies. A file with another name is the user's, and is never removed.
_COPIES = [
    re.compile(template.rpartition("/")[2].format(digest="[0-9a-f]{16}"))
    for template in (layout.CONFIGURATION, layout.PARTS)
]


def write(results: Results, source: str, *, alone: bool) -> Path:
    """Write the copy of the configuration that jobs read, and return the copy's path.

    Args:
        source: The study's file. Paths in the configuration are relative to this file.
        alone: Whether no other Snakemake runs this study. If no other runs, the copies of earlier
            configurations are removed. Jobs that were submitted with an earlier configuration and
            are still in the queue will then end when they start.

    Raises:
        FullError: If there is no space left.
    """
    # Importing the storage takes a second, and the Snakefile imports this module in every job.
    from passband.storage import atomic

    path = _path(results)
    handed = {SOURCE: source} | _handed(results)
    if folder := results.study.known_parts.folder:
        _copy_parts(folder, Path(handed[PARTS]))
    content = json.dumps(results.study.written() | handed, indent=2).encode()
    if not (path.exists() and path.read_bytes() == content):
        with atomic.replacing(path) as beside:
            beside.write_bytes(content)
    if alone:
        for other in path.parent.iterdir():
            if other.stem != path.stem and any(copy.fullmatch(other.name) for copy in _COPIES):
                atomic.remove(other)
    return path


def _handed(results: Results) -> dict[str, str]:
    """Return where jobs find the copy of the study's own parts, if it has any."""
    if results.study.known_parts.folder is None:
        return {}
    return {PARTS: str(results.path(layout.PARTS, digest=results.study.digest))}


def _copy_parts(folder: Path, to: Path) -> None:
    """Copy a study's files of parts to a folder, whole or not at all.

    A folder that exists may have come with somebody's results, so it is replaced unless it is such
    a copy.
    """
    from passband.storage import atomic

    files = sorted(file for file in folder.glob("*.py") if file.is_file())
    if not _is_copy(to, files):
        with atomic.replacing(to) as beside:
            beside.mkdir()
            for file in files:
                shutil.copy(file, beside)


def _is_copy(folder: Path, files: list[Path]) -> bool:
    """Return whether a folder has copies of these files, and nothing else."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    found = sorted(folder.iterdir())
    return [each.name for each in found] == [file.name for file in files] and all(
        each.is_file() and not each.is_symlink() and each.read_bytes() == file.read_bytes()
        for each, file in zip(found, files, strict=True)
    )


def hand_to_jobs(settings, config: dict, results: Results) -> None:
    """Make the jobs of this Snakemake read a copy of the configuration instead of the study's file.

    Args:
        settings: The object with Snakemake's settings of the configuration. This function changes
            the object.
        config: The configuration that Snakemake has read. A job that this process starts by itself
            receives it, so this function adds the folder with the copy of the study's own parts.
        results: The study, with the folder as the workflow names it.
    """
    copy = write(results, config[SOURCE], alone=is_alone(results))
    settings.configfiles = [copy.absolute()]
    settings.config_args = None  # the copy includes them
    config.update(_handed(results))


def is_alone(results: Results) -> bool:
    """Return whether no other Snakemake in the working directory runs this study.

    Each running Snakemake process has locks, which name the files that the process makes.
    """

    def runs_it(file: Path) -> bool:
        try:
            return f"\n{results}/" in f"\n{file.read_text()}"
        except FileNotFoundError:  # another Snakemake has just ended
            return False

    return sum(map(runs_it, Path(".snakemake/locks").glob("*.output.lock"))) == 1


def changed(results: Results) -> bool:
    """Return whether the study has changed since the job was submitted.

    Args:
        results: The study that the job read. The digest of the configuration includes the content
            of crystal files. Crystal files are not copied. If the folder has no copy of a
            configuration, the study has not changed.
    """
    path = _path(results)
    return path.parent.exists() and not path.exists()


def _path(results: Results) -> Path:
    return results.path(layout.CONFIGURATION, digest=results.study.digest)
