"""``passband export``: write the atoms of a structure to a file."""

import argparse
from pathlib import Path

from passband.commands.arguments import STUDY, check_file, find_study
from passband.config import SPLITS
from passband.errors import PassbandError
from passband.results import locate
from passband.storage import atomic
from passband.version import __version__
from passband.words import listed


def add(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("export")
    command.add_argument("study", type=locate.path_of, help=f"{STUDY}, such as pilot")
    command.add_argument("specimen", help="the specimen's name in the study")
    command.add_argument("split", help=listed(SPLITS, "or"))
    command.add_argument("index", type=int, help="the structure's index in the split, from 0")
    command.add_argument("file", type=Path, help="the file to write, such as gold.extxyz")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    study = find_study(options.study).study
    name, split, index = options.specimen, options.split, options.index
    if name not in study.specimens:
        raise PassbandError(f"specimen = {name!r}: must be one of {', '.join(study.specimens)}")
    if split not in SPLITS:
        raise PassbandError(f"split = {split!r}: must be one of {', '.join(SPLITS)}")
    number = getattr(study.study.structures, split)
    if not 0 <= index < number:
        raise PassbandError(f"index = {index}: must be between 0 and {number - 1} in {split}")
    check_file("file", options.file, ".extxyz")

    from passband.specimens import exit_waves as simulate  # ase takes a second to import

    seed, sampling = study.study.seed, study.microscope.sampling
    atoms = simulate.structure(name, study.specimens[name], sampling, seed, split, index).atoms
    atoms.info = {"study": study.study.name, "seed": seed, "specimen": name}
    atoms.info |= {"split": split, "structure": index, "passband": __version__}
    with atomic.replacing(options.file) as beside:
        atoms.write(beside, format="extxyz")
    print(f"{len(atoms):,} atoms of {atoms.get_chemical_formula()} in {options.file}")
    return 0
