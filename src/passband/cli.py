"""The command ``passband``. Each of its commands is a module in ``passband.commands``."""

import argparse
import os
import sys
from collections.abc import Sequence

from passband import PassbandError, __version__, console
from passband.commands import (
    check,
    ctf,
    docs,
    evaluate,
    explore,
    export,
    plan,
    predict,
    preflight,
    publish,
    recommend,
    status,
    summary,
)
from passband.commands.arguments import join_negative

#: The modules of the commands, in the order of `passband --help`.
COMMANDS = (
    check,
    plan,
    preflight,
    status,
    summary,
    explore,
    recommend,
    ctf,
    predict,
    publish,
    evaluate,
    export,
    docs,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    Parameters
    ----------
    arguments : sequence of str, optional
        The words after ``passband`` on the command line; by default the arguments of this process.

    Returns
    -------
    int
        0 after success, 1 after an error that the user can correct, and 130 after Ctrl-C.
    """
    console.prepare()
    given = sys.argv[1:] if arguments is None else arguments
    parser = _parser()
    options, rest = parser.parse_known_args(join_negative(status.spell_out(given)))
    # argparse reads words that follow an option only as far as the option needs them.
    if rest and hasattr(options, "words") and not any(word.startswith("-") for word in rest):
        options.words += rest
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        exit_status = options.run(options)
        sys.stdout.flush()  # here, because write errors at the end of the process are not reported
        return exit_status
    except KeyboardInterrupt:
        return 130  # the exit status of a shell after Ctrl-C
    except BrokenPipeError:
        # The program that reads the output of `passband`, such as `head`, has ended. The output
        # that is still in the buffer is written to the null device.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (PassbandError, OSError) as error:
        print(error, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="passband",
        description="Check, plan and watch a study, and ask the finished study what it found.",
    )
    parser.add_argument("--version", action="version", version=f"passband {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")
    for module in COMMANDS:
        module.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
