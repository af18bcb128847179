"""What the user chooses for a published network: its name, its license and its authors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from passband.errors import ArgumentError

if TYPE_CHECKING:
    from passband.learning.network_files import Network

#: Characters of a name that the format of BioImage.IO allows, besides letters and digits.
_NAME_CHARACTERS = "_+- ()"
#: Smallest and largest allowed length of a name.
_NAME_LENGTHS = 5, 64
#: Characters that no author's name may have: the format refuses slashes, and the card is Markdown.
_NO_AUTHOR = "/\\<>"


@dataclass(frozen=True)
class Labels:
    """What the user chose for a published network.

    Attributes:
        license: The SPDX id of the license, such as ``CC-BY-4.0``.
        authors: Names of the authors, which may be empty.
    """

    name: str
    license: str
    authors: Sequence[str] = ()


def default_name(network: "Network") -> str:
    """Return a name with the specimen, architecture, defocus, dose and replica of a network."""
    condition = network.condition
    words = (
        f"{network.metadata.specimen} {network.metadata.architecture} "
        f"({condition.defocus_nm:.0f} nm {condition.dose_e_per_A2:.0f} e per A2) "
        f"replica {network.replica}"
    )
    allowed = "".join(c if _is_allowed(c) else "-" for c in words)
    return allowed[: _NAME_LENGTHS[1]].strip()


def check(name: str | None, license: str, authors: Sequence[str]) -> None:
    """Check what the user chose, in a moment except for the license, whose list takes seconds.

    Args:
        name: The name, or None for :func:`default_name`.

    Raises:
        PassbandError: If the format does not allow it. The message names the option.
    """
    shortest, longest = _NAME_LENGTHS
    wrong = [c for c in name or "" if not _is_allowed(c)]
    if name is not None and (wrong or not shortest <= len(name) <= longest):
        raise ArgumentError(
            f"name = {name!r}: must have {shortest} to {longest} characters, which are "
            "letters without accents, digits, spaces, and _ + - ( )"
        )
    for author in authors:
        if not author.strip() or not author.isprintable() or set(author) & set(_NO_AUTHOR):
            raise ArgumentError(
                f"author = {author!r}: must be a name in one line, without {' '.join(_NO_AUTHOR)}"
            )
    _check_license(license)


def _check_license(license: str) -> None:
    from bioimageio.spec.generic.v0_3 import LicenseId
    from pydantic import TypeAdapter, ValidationError

    try:
        TypeAdapter(LicenseId).validate_python(license)
    except ValidationError:
        raise ArgumentError(
            f"license = {license!r}: must be the SPDX id of a license, such as "
            "CC-BY-4.0, CC0-1.0 or MIT"
        ) from None


def _is_allowed(character: str) -> bool:
    return character in _NAME_CHARACTERS or (character.isascii() and character.isalnum())
