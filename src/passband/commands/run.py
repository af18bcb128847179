"""``passband run``: run a study to its end, with one display of its progress."""

import argparse
import os
import re
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from passband.commands.arguments import add_set, add_study, find_study, report_remark
from passband.commands.table import draw, ood
from passband.config import study_file
from passband.console import escaped
from passband.errors import PassbandError
from passband.results import Results, earlier, layout, listing
from passband.results.locate import RESULTS
from passband.runs import locks, run_files, workflow

if TYPE_CHECKING:
    from passband.store.version_02.adoption import Adoption

#: The options of this command that have a value.
_WITH_VALUE = ("--cores", "--profile", "--set", "--name")


def add(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "run",
        allow_abbrev=False,
        description="Run a study to its end, and continue it if it was stopped. Other options, and "
        "all words after --, go to Snakemake.",
    )
    add_study(command)
    add_machine(command)
    add_set(command)
    command.add_argument(
        "--name", metavar="NEW", help="with --set: a new name; the changed study is in results/NEW"
    )
    command.add_argument(
        "-n", "--dry-run", action="store_true", help="only list the jobs that would run"
    )
    command.add_argument(
        "--why", action="store_true", help="with --dry-run: say also why each job would run"
    )
    command.add_argument(
        "--adopt",
        action="store_true",
        help="first take over exit waves, networks and their results of a study that Passband 0.2 "
        "has made, and move all that it made to results/<study>/0.2",
    )
    command.add_argument(
        "--no-explorer", action="store_true", help="do not make the explorer, which is made last"
    )
    command.set_defaults(run=run, for_snakemake=[])


def spell_out(arguments: Sequence[str]) -> list[str]:
    """Return the arguments so that argparse finds the study and the option `-n`.

    In `-np`, argparse would read the letter after `-n` as its value, which it does not have. Before
    the study, options of Snakemake may have values, which argparse would take as the study: the
    first word that is a study goes to the front.
    """
    given: list[str] = []
    for argument in arguments:
        if joined := re.fullmatch(r"-([Fkp]*)n([A-Za-z].*)?", argument):
            given += ["-n", *(f"-{letters}" for letters in joined.groups() if letters)]
        else:
            given.append(argument)
    for place, argument in enumerate(given[1:], 1):
        before = given[place - 1]
        if argument.startswith("-") or before in _WITH_VALUE:
            continue
        if _is_study(argument):
            return [given[0], argument, *given[1:place], *given[place + 1 :]]
        if not before.startswith("-") and place == 1:
            break  # a study that is not known
    return given


def _is_study(word: str) -> bool:
    return Path(word).exists() or (RESULTS / word).is_dir()


def add_machine(command: argparse.ArgumentParser) -> None:
    """Add the options that say where jobs run."""
    command.add_argument("--cores", metavar="N", help="number of CPU cores (default: all)")
    command.add_argument(
        "--profile",
        metavar="NAME",
        help="a profile of Passband, such as slurm, or the path of another, such as ./mine",
    )


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit status.

    Returns:
        0 if the study is complete, 1 if a job failed, and 130 after Ctrl-C.

    Raises:
        SystemExit: With 2 if Snakemake does not know an option.
    """
    if options.for_snakemake:
        _check(options.for_snakemake)
    if bool(options.changes) != bool(options.name):
        raise PassbandError(
            "--set and --name: must be given together; the changed study has a name of its own"
        )
    if options.why and not options.dry_run:
        raise PassbandError("--why: must be given together with --dry-run, which runs no job")
    # Snakemake reports the remarks, so they are not reported twice.
    results = find_study(
        options.study, lambda remark: None, True, options.changes, options.name or ""
    )
    if options.adopt:
        if options.changes:
            raise PassbandError(
                "--adopt: must be given without --set, since a new study has no results"
            )
        status = _adopt(options, results)
        if status or options.dry_run:
            return status
    words = ["--dry-run"] * options.dry_run + ["--logger-passband-why"] * options.why
    words += options.for_snakemake
    # Told to stop earlier, too, Snakemake would make everything. No explorer is made then, anyway.
    stops = any(word.partition("=")[0] in ("--until", "-U") for word in words)
    if options.no_explorer and not stops:
        words += ["--omit-from", "explorer"]
    again = "the same command"
    with ExitStack() as stack:
        if options.changes:
            options.study, again = Path(results.name), f"`passband run {results.name}`"
            folder = results.folder
            if options.dry_run:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory()), results.name)
            results = Results(results.study, results.folder, folder / layout.STUDY)
        status = start(options, results, words=words, is_new=bool(options.changes))
    line = _next(status, results.root, options.study, again)
    if status and not options.dry_run and line:
        print(escaped(line), file=sys.stderr)
    if status or options.dry_run:
        return status
    from passband.runs.run import Run  # only a study that ran needs it

    if not Run(results).read().complete:
        print(f"The study is not complete; see: passband status {options.study}")
        return 0
    _print_end(results)
    return 0


def _adopt(options: argparse.Namespace, results: Results) -> int:
    """Take over what Passband 0.2 has made of a study; with `--dry-run`, only say what that is.

    Networks can be compared only with all exit waves that they were trained on. So if a file of
    exit waves is damaged or missing, those are made first.

    Returns:
        The exit status, see :func:`run`.
    """
    locks.clear(results.root)
    if run_files.snakemake(results.folder)[0]:
        raise PassbandError(
            f"{results}: a Snakemake has locked this study; wait for its end or, if it has died, "
            f"type: passband run {shlex.quote(str(options.study))} --unlock"
        )
    if not earlier.is_earlier(results.folder) and not results.has(earlier.KEPT):
        raise PassbandError(f"--adopt: {results} was not made by Passband 0.2; leave this out")
    listing.check(results.folder, [*layout.WRITTEN, *earlier.WRITTEN, earlier.KEPT])
    said: set[str] = set()
    found = _adoption(results, said)
    if options.dry_run:
        print(f"{results}: would take over {found}")
        return 0
    found.take()
    kept = results.path(earlier.KEPT)
    print(f"{results}: took over {found}; all that Passband 0.2 made is in {kept}")
    if not found.lacks_waves:
        return 0
    print("Exit waves are made first. If this is interrupted, give --adopt again.", flush=True)
    if status := start(options, results, words=[*options.for_snakemake, "--until", "simulate"]):
        return status
    found = _adoption(results, said)
    found.take()
    print(f"{results}: took over {found}")
    return 0


def _adoption(results: Results, said: set[str]) -> "Adoption":
    """Return what can be taken over; lines about damaged files that were not `said` are printed."""
    from tqdm.auto import tqdm  # only this option needs these modules

    from passband.store.version_02.adoption import Adoption

    with tqdm(desc="adopt", unit=" files", leave=False, disable=not sys.stderr.isatty()) as bar:

        def report(line: str) -> None:
            before = line.replace(f"/{earlier.KEPT}/", "/")  # a file that was moved meanwhile
            if before not in said:
                tqdm.write(escaped(line), file=sys.stderr)
            said.add(before)

        return Adoption(results, report, bar.update)


def _write(results: Results) -> None:
    """Write the file of a changed study in a new folder, or nothing."""
    content, file = results.study.written(), results.file
    for name, specimen in results.study.specimens.items():
        if specimen.file:  # the path begins in the folder of the study's file
            content["specimens"][name]["material"] = os.path.relpath(specimen.file, file.parent)
    text = yaml.safe_dump(content, sort_keys=False)
    study_file.parse(text, str(file))  # what is too large to read again is refused here
    file.parent.mkdir(parents=True)  # fails if another command has made it just now
    try:
        file.write_text(text, encoding="utf-8")
    except BaseException:
        file.unlink(missing_ok=True)
        file.parent.rmdir()
        raise


def _next(status: int, folder: Path, study: Path, again: str) -> str:
    """Return what to do after Snakemake has failed or was killed, or "" if it says so itself."""
    if status == 128 + signal.SIGKILL:
        return f"Snakemake was killed. Run {again} again: finished jobs do not run again."
    if status != 1:
        return ""
    if not locks.are_left(folder):  # at its end, Snakemake removes its own
        return f"Correct the cause, and run {again} again. Finished jobs do not run again."
    signed = " and ".join(map(str, locks.holders(folder))) or "a Snakemake"
    return (
        f"{signed} has locked {folder.resolve()}. Wait for its end. If it has died, type: "
        f"passband run {shlex.quote(str(study))} --unlock; and then {again} again."
    )


def _check(words: Sequence[str]) -> None:
    """End this process with a line and 2 if Snakemake, which would print a long help, refuses."""
    from snakemake.cli import get_argument_parser  # takes seconds to import

    def refuse(message: str) -> None:
        print(
            escaped(f"passband run: {message}; `passband run --help` lists the options, and ")
            + "`snakemake --help` those of Snakemake",
            file=sys.stderr,
        )
        sys.exit(2)

    parser = get_argument_parser()
    parser.error = refuse
    parser.parse_args(list(words))


def start(
    options: argparse.Namespace,
    results: Results,
    targets: Sequence[str] = (),
    words: list[str] | None = None,
    is_new: bool = False,
) -> int:
    """Run Snakemake on a study with a command's options, and return its exit status.

    If the study `is_new`, its file is written first, once all options have been checked.
    """
    folder = results.root
    if "--unlock" not in (words or []):
        earlier.refuse(results.folder, options.study)
    for path in (folder / ".snakemake", folder / RESULTS):
        written = path if path.exists() else folder
        if not os.access(written, os.W_OK):
            raise PassbandError(f"{written.resolve()}: you may not write into this folder")
    cores = options.cores
    if cores not in (None, "all") and not (cores.isdecimal() and int(cores) > 0):
        raise PassbandError(f"--cores = {cores!r}: must be a number above 0, or all")
    command = workflow.command(
        results.file, folder, targets, cores=cores, profile=options.profile, words=words or []
    )
    if is_new:
        _write(results)
    for line in workflow.profiles_left_out(folder):
        report_remark(line)
    locks.check(folder)
    if "--dry-run" not in command:
        for holder in locks.clear(folder):
            report_remark(f"Removed the lock that {holder} left when it died.")
    status = workflow.run(command, folder)
    return status if status in (0, 2) or status > 128 else 1


def _print_end(results: Results) -> None:
    """Print the table, where the report is, and what to type next."""
    print()
    draw(ood(results))
    name = results.name
    lines = [f"\nOpen {results.path(layout.REPORT)} in a browser."]
    if results.has(layout.EXPLORER):
        lines.append(f"A page for each cell of the matrix is {results.path(layout.EXPLORER)}.")
    lines.append("Then type, for example:")
    if sys.prefix != sys.base_prefix and not _is_active():
        lines.append(f"  source {_shown(Path(sys.prefix))}/bin/activate")
    lines.append(f"  passband table {name} --csv {name}.csv")
    print("\n".join(lines))


def _is_active() -> bool:
    """Return whether the user's shell finds this `passband`; make has a path of its own."""
    if "MAKELEVEL" in os.environ:
        return os.path.realpath(os.environ.get("VIRTUAL_ENV", "")) == os.path.realpath(sys.prefix)
    found = shutil.which("passband")
    return found is not None and Path(found).resolve() == Path(sys.prefix, "bin/passband").resolve()


def _shown(path: Path) -> str:
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
