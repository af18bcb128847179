"""Errors that a user can correct. All errors of the package are a kind of the first."""

from passband.console import escaped


class PassbandError(Exception):
    """An error that a user can correct, with a message of one line.

    Example:
        >>> try:
        ...     passband.open("general").table
        ... except passband.PassbandError as error:
        ...     reason = str(error)
    """

    #: The exit status of a command that ends with this error.
    exit_status = 1

    def __str__(self) -> str:
        return escaped(super().__str__())  # it may have the name of a file from somebody else


class ArgumentError(PassbandError):
    """A wrong argument of a verb. Its command writes the names of its options instead.

    Args:
        message: Has the names of the arguments as Python writes them.
        names: The arguments that the message names; by default, that with which it begins.
    """

    def __init__(self, message: str, *names: str):
        super().__init__(message)
        self.names = names or (message.replace(":", " ").split()[0],)
