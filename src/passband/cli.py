"""The command ``passband``: check and plan a study, check the machine, say where the study stands,
print results, export a structure, make the reference."""

import argparse
import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from passband import PassbandError, __version__, plan
from passband.config import SPLITS, Study, load


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    Parameters
    ----------
    arguments : sequence of str, optional
        What stands after ``passband`` on the command line; by default this process's own.

    Returns
    -------
    int
        0 if all went well, 1 after a mistake that the user can mend.
    """
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except (PassbandError, OSError) as error:
        print(error, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="passband", description=__doc__)
    parser.add_argument("--version", action="version", version=f"passband {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")

    check = commands.add_parser("check", help="validate a study file and say what it asks for")
    check.add_argument("file", type=Path, help="a study file, such as studies/pilot.yaml")
    check.set_defaults(run=_check)

    ahead = commands.add_parser(
        "plan",
        help="say what a study will take, and what of it is left: steps, memory, files, hours",
    )
    ahead.add_argument("file", type=Path, help="a study file, such as studies/pilot.yaml")
    ahead.add_argument(
        "--seconds", type=float, default=30.0, help="for the calibration (default: 30)"
    )
    ahead.set_defaults(run=_plan)

    show = commands.add_parser("summary", help="print the OOD metrics of a finished study")
    show.add_argument("results", type=Path, help="a study's results, such as results/demo")
    show.set_defaults(run=_summary)

    at = commands.add_parser("status", help="draw the grid: done, running, failed and waiting")
    at.add_argument(
        "study",
        nargs="?",
        type=Path,
        default=Path("config.yaml"),
        help="a study file, or a study's results (default: config.yaml)",
    )
    at.add_argument(
        "--watch",
        nargs="?",
        type=float,
        const=10.0,
        metavar="seconds",
        help="on a terminal, draw it again and again, every 10 s unless said otherwise",
    )
    at.set_defaults(run=_status)

    fit = commands.add_parser("preflight", help="see whether this machine can do a study's jobs")
    fit.add_argument(
        "file",
        nargs="?",
        type=Path,
        default=Path("config.yaml"),
        help="a study file (default: config.yaml)",
    )
    fit.set_defaults(run=_preflight)

    export = commands.add_parser("export", help="write the atoms of one of a study's structures")
    export.add_argument("study", type=Path, help="a study file, such as studies/pilot.yaml")
    export.add_argument("specimen", help="the specimen's name in the study")
    export.add_argument("split", help=f"{', '.join(SPLITS[:-1])} or {SPLITS[-1]}")
    export.add_argument("index", type=int, help="the structure's index in the split, from 0")
    export.add_argument("file", type=Path, help="what to write, such as gold.extxyz")
    export.set_defaults(run=_export)

    docs = commands.add_parser("docs", help="write the configuration's reference and schema")
    docs.add_argument("--check", action="store_true", help="write nothing; fail if they differ")
    docs.add_argument(
        "--directory", type=Path, default=Path("docs"), help="where they are (default: docs)"
    )
    docs.set_defaults(run=_docs)
    return parser


def _checked(file: Path) -> Study:
    """Return the study in a file, its specimens' crystals read too."""
    study = load(file)
    if not study.settled:
        from passband import specimen  # ase takes a second to import

        specimen.check(study)
    return study


def _check(options: argparse.Namespace) -> int:
    print(plan.summary(_checked(options.file)))
    return 0


def _plan(options: argparse.Namespace) -> int:
    if not 0 <= options.seconds <= 3600:
        raise PassbandError(f"--seconds = {options.seconds:g}: must be between 0 and 3600")
    study = _checked(options.file)
    print(plan.text(study, Path("results", study.study.name), options.seconds))
    return 0


def _summary(options: argparse.Namespace) -> int:
    from passband import ood, prediction, store  # xarray takes a second to import

    print(ood.summary(store.read(options.results / "ood.zarr", store.OOD)))
    path = options.results / "prediction.zarr"
    if path.exists():
        print(f"\n{prediction.summary(store.read(path, store.PREDICTION))}")
    return 0


def _status(options: argparse.Namespace) -> int:
    from passband import status  # only this command needs it

    if options.watch is not None and not options.watch > 0:
        raise PassbandError(f"--watch = {options.watch:g}: must be above 0 s")
    study, results = status.find(options.study)
    terminal = sys.stdout.isatty()
    try:
        while True:
            found = status.look(study, results)
            width = shutil.get_terminal_size().columns
            page = status.text(found, width, terminal and "NO_COLOR" not in os.environ)
            # Home, the page with the rest of each line cleared, and the rest of the screen.
            clear = terminal and options.watch is not None
            lines = "\x1b[K\n".join(page.splitlines())
            print(f"\x1b[H\x1b[2J{lines}" if clear else page, flush=True)
            if not clear or found.complete:
                return 0
            time.sleep(options.watch)
    except KeyboardInterrupt:
        return 0


def _preflight(options: argparse.Namespace) -> int:
    from passband import preflight  # only this command needs it

    study = load(options.file)
    found = preflight.run(study, Path("results", study.study.name), os.cpu_count() or 1)
    print(preflight.table(found))
    preflight.demand(found)
    return 0


def _export(options: argparse.Namespace) -> int:
    study = load(options.study)
    name, split, index = options.specimen, options.split, options.index
    if name not in study.specimens:
        raise PassbandError(f"specimen = {name!r}: must be one of {', '.join(study.specimens)}")
    if split not in SPLITS:
        raise PassbandError(f"split = {split!r}: must be one of {', '.join(SPLITS)}")
    number = getattr(study.study.structures, split)
    if not 0 <= index < number:
        raise PassbandError(f"index = {index}: must be between 0 and {number - 1} in {split}")
    if options.file.suffix != ".extxyz":
        raise PassbandError(f"file = {str(options.file)!r}: must end in .extxyz")

    from passband import simulate  # ase takes a second to import

    seed, sampling = study.study.seed, study.microscope.sampling
    atoms = simulate.structure(name, study.specimens[name], sampling, seed, split, index).atoms
    atoms.info = {"study": study.study.name, "seed": seed, "specimen": name}
    atoms.info |= {"split": split, "structure": index, "passband": __version__}
    beside = options.file.with_name(f".{options.file.name}.part")
    atoms.write(beside, format="extxyz")
    beside.replace(options.file)
    print(f"{len(atoms):,} atoms of {atoms.get_chemical_formula()} in {options.file}")
    return 0


def _docs(options: argparse.Namespace) -> int:
    from passband import reference  # only this command needs it

    status = 0
    for name, text in (
        ("configuration.md", reference.markdown()),
        ("config.schema.json", reference.schema()),
    ):
        path = options.directory / name
        if not options.check:
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            print(f"{path}: differs from the models; run `make docs`", file=sys.stderr)
            status = 1
    return status
