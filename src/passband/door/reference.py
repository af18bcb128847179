"""Writes the reference of the configuration."""

from dataclasses import dataclass
from pathlib import Path

from passband.errors import ArgumentError
from passband.outcomes import Outcome


@dataclass(frozen=True)
class Reference(Outcome):
    """The reference and the schema of the configuration.

    Attributes:
        files: The two files.
        differing: A line about each that differs from the code, if they were only compared.
    """

    files: tuple[Path, ...]
    differing: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join(self.differing or map(str, self.files))


def docs(directory: str | Path = "docs", *, check: bool = False) -> Reference:
    """Write the reference and the schema of the configuration, which are pages of a clone.

    Args:
        directory: The folder of the two files.
        check: Only compare the files with the code.

    Raises:
        PassbandError: If there is no such folder.

    Example:
        >>> files = passband.docs(".").files
    """
    from passband.config import reference

    folder = Path(directory)
    if not folder.is_dir():
        raise ArgumentError(
            f"directory = {str(folder)!r}: there is no folder {folder}; this command makes two "
            "pages of a clone of Passband"
        )
    texts = {"configuration.md": reference.markdown, "config.schema.json": reference.schema}
    differing = []
    for name, text in texts.items():
        path = folder / name
        if not check:
            path.write_text(text(), encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text():
            differing.append(f"{path}: differs from the models; run `passband docs`")
    return Reference(tuple(folder / name for name in texts), tuple(differing))
