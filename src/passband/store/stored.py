"""What a job makes and the store keeps: exit waves, networks or results of networks."""

from collections.abc import Mapping
from typing import Protocol, TypeVar

Found = TypeVar("Found")
Made = TypeVar("Made")


class Stored(Protocol[Found, Made]):
    """All that one job makes, which may be in the store, whole or in files of other jobs.

    Both methods that look may raise NewerError if a newer version of Passband wrote the job's file,
    which must not be overwritten, and UnreachableError if a file cannot be read now.
    """

    def whole(self) -> Made | None:
        """Return what the job's own file has, if this is exactly what the job makes."""
        ...

    def find(self) -> Found:
        """Return what is in the store of it, whatever jobs made it."""
        ...

    def complete(self, found: Found) -> Made | None:
        """Return all that the job makes, if nothing lacks in what was found."""
        ...

    def put(self, made: Made, attrs: Mapping[str, str]) -> None:
        """Write the job's own file, wholly or not at all, and hand it over."""
        ...

    def hand_over(self, made: Made) -> None:
        """Make the job's outputs from its own file."""
        ...

    def words(self, made: Made) -> str:
        """Return the job's result in words."""
        ...
