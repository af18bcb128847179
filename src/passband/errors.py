"""The error that a user can correct, of which all others of the package are a kind."""

from passband.console import escaped


class PassbandError(Exception):
    """An error that a user can correct, with a message of one line.

    Example:
        >>> try:
        ...     passband.open("general").table
        ... except passband.PassbandError as error:
        ...     reason = str(error)
    """

    def __str__(self) -> str:
        return escaped(super().__str__())  # it may have the name of a file from somebody else
