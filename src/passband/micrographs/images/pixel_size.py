"""The pixel size of an image, from its file or from the user. A pixel size is never guessed."""

import math
from collections.abc import Sequence
from numbers import Real
from pathlib import Path

from passband.errors import ArgumentError, PassbandError

#: Pixel sizes must be below this value [Å], since no lattice fringe is visible above it.
MAX_PIXEL_SIZE_A = 10.0
#: Two pixel sizes are called equal if they differ by no more than this fraction.
TOLERANCE = 0.01

#: Lengths by the names that files use, in lower case, without brackets and underscores [Å].
_LENGTHS_A = {
    **dict.fromkeys(("å", "a", "ang", "angstrom", "angstroms", "ångström"), 1.0),
    **dict.fromkeys(("pm", "picometer", "picometre", "picometers"), 0.01),
    **dict.fromkeys(("nm", "nanometer", "nanometre", "nanometers"), 10.0),
    # Two signs are called micro: U+00B5, and the Greek letter U+03BC.
    **dict.fromkeys(("\u00b5m", "\u03bcm", "um", "micron", "microns", "micrometer"), 1e4),
    **dict.fromkeys(("micrometre", "micrometers", "\\u00b5m"), 1e4),
    **dict.fromkeys(("mm", "millimeter", "millimetre"), 1e7),
    **dict.fromkeys(("cm", "centimeter", "centimetre"), 1e8),
    **dict.fromkeys(("m", "meter", "metre", "meters", "metres"), 1e10),
}


def length_A(unit: object) -> float | None:
    """Return the length of a unit in Å, or None if the unit is missing or is not a length."""
    text = "".join(str(unit or "").split()).strip("[]()")
    name = text.replace("_", "")
    return _LENGTHS_A.get("å" if name in ("A", "Å", "\u212b") else name.lower())


def is_reciprocal(unit: object) -> bool:
    """Return whether a unit is the inverse of a length, or an angle, as in diffraction patterns."""
    name = "".join(str(unit or "").split()).strip("[]()").replace("_", "").lower()
    inverse = name.startswith("1/") or name.endswith(("^-1", "**-1", "⁻¹"))
    return inverse or name in ("rad", "mrad", "radian", "milliradian")


def check_option(pixel_size_A: float | None) -> None:
    """Raise PassbandError if the user's pixel size is not above 0 and below 10 Å."""
    is_number = isinstance(pixel_size_A, Real)
    if pixel_size_A is not None and not (is_number and _is_allowed(pixel_size_A)):
        given = f"{pixel_size_A:g}" if is_number else repr(pixel_size_A)
        raise ArgumentError(
            f"pixel_size_A = {given}: must be above 0 and below {MAX_PIXEL_SIZE_A:g} Å"
        )


def choose(
    path: Path, in_file_A: Sequence[float] | None, option_A: float | None
) -> tuple[float, tuple[str, ...]]:
    """Return the pixel size of a file's images, and notes for the user.

    Args:
        path: The file, for messages.
        in_file_A: The pixel size along height and width that the file states [Å].
        option_A: The user's pixel size [Å]. It wins over the file's.

    Returns:
        The pixel size [Å]. A note says so if the user's pixel size differs from the file's by more
        than 1%.

    Raises:
        PassbandError: If the user's pixel size is not above 0 and below 10 Å. If there is no user's
            pixel size: if the file has none, if the file's is not above 0 and below 10 Å, or if the
            file's pixel sizes along the two axes differ by more than 1%.
    """
    check_option(option_A)
    stated = None if in_file_A is None else [float(size) for size in in_file_A]
    if option_A is not None:
        if stated is None or all(abs(s - option_A) <= TOLERANCE * option_A for s in stated):
            return float(option_A), ()
        text = " × ".join(f"{size:.4g}" for size in dict.fromkeys(stated))
        return float(option_A), (
            f"pixel size {option_A:g} Å from --pixel-size-A is used; the file states {text} Å",
        )
    if stated is None:
        raise PassbandError(f"pixel size: {path} has none; give --pixel-size-A")
    for size in stated:
        if not _is_allowed(size):
            raise PassbandError(
                f"pixel size: {path} states {size:.4g} Å, allowed is above 0 and below "
                f"{MAX_PIXEL_SIZE_A:g} Å; give --pixel-size-A"
            )
    if max(stated) > (1 + TOLERANCE) * min(stated):
        raise PassbandError(
            f"pixel size: {path} states {stated[0]:.4g} × {stated[1]:.4g} Å, and pixels must be "
            "square within 1%; give --pixel-size-A"
        )
    return sum(stated) / len(stated), ()


def _is_allowed(size: float) -> bool:
    return math.isfinite(size) and 0 < size < MAX_PIXEL_SIZE_A
