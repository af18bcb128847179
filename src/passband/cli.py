# PYTHON_ARGCOMPLETE_OK
"""The command ``passband``. Each of its commands is a module in ``passband.commands``."""

import argparse
import difflib
import importlib
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple, NoReturn

from passband import console, extras, gone, processes, repository
from passband.errors import ArgumentError, PassbandError
from passband.units import in_known_unit
from passband.version import __version__


class Command(NamedTuple):
    """A command of ``passband``.

    Attributes:
        name: The command's name, and the name of its module in ``passband.commands``.
        does: What the command does, in one line.
        example: The words after ``passband`` in an example.
        makes_grid: Whether it needs the packages of the extra `grid`.
    """

    name: str
    does: str
    example: str
    makes_grid: bool = True


#: The commands by group, in the order of `passband --help`. A new command needs a line here.
COMMANDS = {
    "Make and check a study": (
        Command("new", "make a folder with a study to edit", "new mine --like pilot"),
        Command("check", "check a study and count its jobs", "check config.yaml"),
        Command("plan", "measure how long a study will take", "plan config.yaml --seconds 10"),
        Command("parts", "list figures, metrics, losses and other parts", "parts mine"),
        Command("preflight", "check that this machine can run a study", "preflight config.yaml"),
    ),
    "Run it": (
        Command("run", "run a study to its end, or continue it", "run config.yaml --cores 8"),
        Command("status", "draw which jobs are done, run, failed or wait", "status demo --watch"),
    ),
    "See what it found": (
        Command("table", "print the OOD metrics and the predictions", "table demo --csv demo.csv"),
        Command("report", "make the page that presents a study", "report demo"),
        Command("explore", "write the page that shows each cell of the matrices", "explore demo"),
        Command(
            "evaluate",
            "test networks under other conditions",
            "evaluate demo --conditions more.csv",
        ),
        Command(
            "images",
            "make images of test structures under a condition",
            "images demo --defocus-nm 5 --cs-um 1.2 --aperture-mrad 10 --dose-e-per-A2 1000",
        ),
        Command("gallery", "draw example structures of each specimen", "gallery demo"),
        Command("next", "choose which conditions to train next", "next demo --budget 4"),
        Command(
            "merge",
            "join pieces of a study from several machines",
            "merge a b --into results/whole",
        ),
    ),
    "Use its networks": (
        Command(
            "recommend",
            "rank networks for your microscope by expected Dice and distance",
            "recommend demo --defocus-nm 12 --cs-um 5 --aperture-mrad 15 --dose-e-per-A2 400",
        ),
        Command(
            "ctf",
            "measure defocus, astigmatism and Cs from Thon rings",
            "ctf image.dm3 --energy-kev 300",
            makes_grid=False,
        ),
        Command(
            "predict",
            "segment images of a microscope",
            "predict general images/ --out masks/",
            makes_grid=False,
        ),
        Command("publish", "write a network for others to use", "publish demo --network ID"),
    ),
    "Other": (
        Command("export", "write the atoms of a structure", "export demo gold test 0 gold.extxyz"),
        Command("docs", "write the configuration's reference and schema", "docs --check"),
    ),
}

#: The exit status of `passband`, for the help.
_EXIT = """exit status:
    0  success
    1  an error that you can correct, in one line; or a job failed
    2  a wrong option
  130  stopped by Ctrl-C; 128 + number for another signal"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    Args:
        arguments: The words after ``passband`` on the command line; by default the arguments of
            this process.

    Returns:
        0 after success, 1 after an error that the user can correct or if a job of Snakemake failed,
        and 130 after Ctrl-C.

    Raises:
        SystemExit: With 2 after a wrong option, and with 0 after `--help` and `--version`.
    """
    console.prepare()
    if sys.stdout is None:
        print("standard output is closed: give a file for it, such as /dev/null", file=sys.stderr)
        return 1
    if arguments is None:  # this process is the command, and no program that calls this function
        processes.ignore_working_directory()
        processes.cache_somewhere()
    if "_ARGCOMPLETE" in os.environ:
        _complete()
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    name = next((word for word in given if not word.startswith("-")), "")
    try:
        parser = _parser(name)
    except PassbandError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    passed = []
    if name == "run" and "--" in given:
        place = given.index("--")
        passed = given[place + 1 :]
        given = given[:place]
    if said := gone.option(name, given):
        parser.exit(2, f"passband {name}: error: {said}\n")
    options, rest = parser.parse_known_args(_spelled_out(name, given))
    if hasattr(options, "for_snakemake"):
        options.for_snakemake = [*rest, *passed]
    # argparse reads words that follow an option only as far as the option needs them.
    elif rest and hasattr(options, "words") and not any(word.startswith("-") for word in rest):
        options.words += rest
    elif rest:
        if "--axis" in options.known_options:
            from passband.commands.arguments import former_option

            if said := former_option(given, rest):
                options.refuse(said)
        options.refuse(
            f"unrecognized arguments: {' '.join(rest)}{_meant(rest, options.known_options)}"
        )
    try:
        with _trusting(getattr(options, "trust_parts", False)):
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
    except ArgumentError as error:
        print(_with_options(error, options.spelled), file=sys.stderr)
        return error.exit_status
    except PassbandError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    except OSError as error:
        words = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        print(console.escaped(words), file=sys.stderr)
        return 1
    except MemoryError:
        print("not enough memory: free some, or use a machine with more", file=sys.stderr)
        return 1
    except (ValueError, RuntimeError):  # also the errors of Zarr for a damaged chunk
        if datasets := sys.modules.get("passband.storage.datasets"):
            try:
                datasets.check_opened()
            except PassbandError as error:
                print(error, file=sys.stderr)
                return 1
        raise


@contextmanager
def _trusting(stored: bool) -> Iterator[None]:
    """Let the code of parts run that are stored with results, if the user has said so."""
    if not stored:
        yield
        return
    from passband.results import Results  # takes a third of a second to import

    Results.trusts_stored = True
    try:
        yield
    finally:
        Results.trusts_stored = False


def _parser(name: str) -> argparse.ArgumentParser:
    """Return a parser that knows the command `name`: to import all commands would take longer."""
    parser = _Parser(prog="passband")
    parser.add_argument("--version", action="version", version=f"passband {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Command)
    known = {command.name: command for group in COMMANDS.values() for command in group}
    if name in known:
        if known[name].makes_grid:
            extras.check(extras.GRID, f"passband {name}")
        importlib.import_module(f"passband.commands.{name}").add(commands)
        own = commands.choices[name]
        does = known[name].does
        own.description = own.description or f"{does[0].upper()}{does[1:]}."
        own.epilog = f"example: passband {known[name].example}"
        known_options = [option for action in own._actions for option in action.option_strings]
        # The first shows the usage of this command.
        # Of several spellings, the first long one: the last may be the negative of a switch.
        long = {a.dest: [o for o in a.option_strings if o[:2] == "--"] for a in own._actions}
        spelled = {name: options[0] for name, options in long.items() if options}
        own.set_defaults(refuse=own.error, known_options=known_options, spelled=spelled)
    elif name:
        near = "".join(f"{word}? " for word in difflib.get_close_matches(name, known, 1))
        unknown = f"there is no command {name!r}; {near}`passband --help` lists the commands"
        say = gone.command(name) or unknown
        parser.exit(2, f"passband: error: {say}\n")
    return parser


def _with_options(error: ArgumentError, spelled: Mapping[str, str]) -> str:
    """Return the words of an error, with options instead of the names of a verb's arguments."""
    text = str(error)
    for name in error.names:
        if name in spelled:
            text = re.sub(rf"(?<!\S){name}(?=[\s:,;]|$)", spelled[name], text, count=1)
    return text


def _meant(words: Sequence[str], known: Sequence[str]) -> str:
    """Return a question about the first option that a command does not know, or ""."""
    option = next((word.partition("=")[0] for word in words if word.startswith("--")), "")
    names = [name.lstrip("-").replace("-", "_") for name in known]
    name, space, factor = in_known_unit(option[2:].replace("-", "_"), names).partition(" ")
    if name:
        return f"; did you mean --{name.replace('_', '-')}{space}{factor}?"
    near = difflib.get_close_matches(option, known, 1)
    return f"; did you mean {near[0]}?" if near else ""


def _complete() -> None:
    """Print how the words on the command line may go on, for the shell, and end the process."""
    import argcomplete  # only a shell that completes words needs it

    line = os.environ.get("COMP_LINE", "")
    words = line[: int(os.environ.get("COMP_POINT", len(line)))].split()
    parser = argparse.ArgumentParser(prog="passband")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers()
    for command in (command for group in COMMANDS.values() for command in group):
        if command.name in words[1:2]:
            importlib.import_module(f"passband.commands.{command.name}").add(commands)
        else:
            commands.add_parser(command.name, help=command.does)
    argcomplete.autocomplete(parser)


class _Command(argparse.ArgumentParser):
    """A parser whose errors do not change the terminal."""

    def error(self, message: str) -> NoReturn:
        super().error(console.escaped(message))


class _Parser(_Command):
    """A parser whose help lists the commands by group."""

    def format_usage(self) -> str:
        return "usage: passband COMMAND …, or passband COMMAND --help\n"

    def format_help(self) -> str:
        lines = [
            self.format_usage(),
            "Make, run and watch a study, and ask it what it found. A study is named by its file,",
            "its folder with a config.yaml, its folder of results, or its name.",
        ]
        for group, commands in COMMANDS.items():
            lines += ["", f"{group}:"]
            lines += [f"  {command.name:<10} {command.does}" for command in commands]
        with suppress(PassbandError):  # a package without its pages
            lines += ["", f"Pages such as docs/run.md are in {repository.folder()}"]
        return "\n".join([*lines, "", _EXIT, ""])


def _spelled_out(name: str, given: list[str]) -> list[str]:
    """Return the words of a command, prepared for argparse."""
    if not name:
        return given
    from passband.commands.arguments import join_negative

    if name == "run":
        from passband.commands import run

        given = run.spell_out(given)
    if name == "status":
        from passband.commands import status

        given = status.spell_out(given)
    return join_negative(given)


if __name__ == "__main__":
    sys.exit(main())
