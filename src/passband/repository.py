"""Where the workflow, the studies and the pages are that belong to this package."""

from pathlib import Path

from passband.errors import PassbandError

#: A file of the workflow by which its folder is recognised, beside the file `Snakefile`.
_SIGN = Path("workflow") / "rules" / "common.smk"


def folder() -> Path:
    """Return the folder of the workflow: the package's own copy of it, or else its clone.

    It is never the working directory, which may be a copy of somebody else's clone.

    Raises:
        PassbandError: If the package has neither.
    """
    package = Path(__file__).resolve().parent
    for place in (package / "files", package.parents[1]):  # see setup.py
        if (place / "Snakefile").is_file() and (place / _SIGN).is_file():
            return place
    raise PassbandError(
        f"{package}: has no workflow beside it; install Passband from its wheel or a clone"
    )


def studies() -> dict[str, Path]:
    """Return the files of Passband's own studies by name, the demo first."""
    root = folder()
    files = sorted((root / "studies").glob("*.yaml"))
    return {"demo": root / "config.yaml"} | {file.stem: file for file in files}
