"""Crystal files: where a crystal file is found, and checks of it that do not need ASE."""

import re
from pathlib import Path

from passband.config.base import number_in, short
from passband.config.materials import MATERIALS
from passband.console import escaped

#: The largest size of a crystal file [bytes].
MOST_CRYSTAL_BYTES = 2_000_000


def locate(path: str, folder: Path) -> Path:
    """Return the path of a crystal file.

    Only a later check shows whether ASE can read the crystal file.

    Args:
        path: The path of the crystal file, as it is given in a study.
        folder: The folder of the study's file. The path is looked up in this folder first, and then
            in the working directory.

    Raises:
        ValueError: If there is no file with this path. Also if the file cannot be read, is too
            large, or is not a CIF of a crystal.
    """
    places = dict.fromkeys((folder / path, Path(path)))
    try:
        file = next((place for place in places if place.is_file()), None)
        size = file.stat().st_size if file else 0
        content = file.read_bytes() if file and size <= MOST_CRYSTAL_BYTES else b""
    except (OSError, ValueError) as error:  # an impossible file name, or no permission
        said = getattr(error, "strerror", None) or error
        raise ValueError(f"material = {short(path)}: the file cannot be read: {said}") from None
    if file is None:
        raise ValueError(
            f"material = {short(path)}: allowed are {', '.join(sorted(MATERIALS))}, or the path "
            f"of a crystal file; there is no file {' or '.join(escaped(str(p)) for p in places)}"
        )
    if size > MOST_CRYSTAL_BYTES:
        raise ValueError(
            f"material = {short(path)}: has {size:,} bytes; a crystal file may have "
            f"{MOST_CRYSTAL_BYTES:,}"
        )
    if path.lower().endswith(".cif"):
        text = content.decode(errors="replace").lower()
        for word in ("_cell_length_a", "_atom_site_fract_x"):
            if word not in text:
                raise ValueError(f"material = {short(path)}: not a CIF of a crystal: has no {word}")
        # ASE accepts a negative length of a cell axis, and reverses the axis.
        for key, most, unit in (("length_[abc]", 1000, "Å"), ("angle_[a-z]+", 180, "°")):
            # The value in the CIF may be in quotes or on the next line; "(2)" is an uncertainty.
            written = rf"^\s*(_cell_{key})\s+['\"]?([^\s'\"(]*)"
            for word, value in re.findall(written, text, re.MULTILINE):
                if not 0 < (number_in(value) or 0) < most:
                    raise ValueError(
                        f"material = {short(path)}: {word} = {value:.60}: must be above 0 and "
                        f"below {most} {unit}"
                    )
    return file
