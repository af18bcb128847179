"""``passband new``: make a folder with a study to edit, or a part of a study."""

import argparse
from pathlib import Path

from passband.commands.ctf import add_pixel_size
from passband.console import escaped
from passband.door.making import new, new_part
from passband.errors import PassbandError
from passband.parts import KINDS
from passband.words import number_of

#: Studies of the repository that are good to begin with, and what they are for.
_LIKE = {
    "demo": "every key with its meaning",
    "pilot": "270 networks, an hour and a half on 2 cores",
    "paper": "the paper's size, for a cluster",
    "real": "networks for real images",
}

#: The options that say what the study is like.
_ASKED = "like", "energy_kev", "material", "like_image", "pixel_size_A"


def add(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("new")
    command.add_argument(
        "folder",
        type=Path,
        nargs="?",
        metavar="NAME",
        help="the new folder and study; with --part, the folder of a study (default: this folder)",
    )
    command.add_argument(
        "--part",
        choices=KINDS,
        metavar="KIND",
        help="write an example of a part to edit, into the folder parts beside the study's file: "
        f"{', '.join(KINDS)}",
    )
    like = ", ".join(f"{name} ({what})" for name, what in _LIKE.items())
    command.add_argument(
        "--like",
        metavar="STUDY|NETWORK",
        help=f"the study to begin with (default: demo): {like}, another name in studies/, or a "
        "study's file. Or a network, whose training is taken over: general, a weights file or a "
        "published folder",
    )
    own = command.add_argument_group(
        "a network for one's own microscope", "how it differs from a network (default: general)"
    )
    own.add_argument(
        "--energy-kev",
        type=float,
        metavar="X",
        help="beam energy [keV]; by default that of the image, if its file states it",
    )
    own.add_argument("--material", metavar="NAME", help="a material, such as Pt, or a crystal file")
    own.add_argument(
        "--like-image",
        type=Path,
        metavar="FILE",
        help="an image of the microscope, whose noise and pixels the simulated images get",
    )
    add_pixel_size(own)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    asked = {name: getattr(options, name) for name in _ASKED}
    if options.part:
        given = next((name for name, value in asked.items() if value is not None), None)
        if given is not None:
            option = f"--{given.replace('_', '-')}"
            raise PassbandError(f"--part: cannot be used together with {option}")
        print(new_part(options.part, options.folder or Path()))
        return 0
    if options.folder is None:
        options.refuse("the following arguments are required: NAME")
    lines: list[str] = []
    made = new(options.folder, **asked, report=lines.append)
    networks = made.check().networks
    like = options.like or ("general" if lines else "demo")
    print(
        "\n".join(
            [
                f"{made.file} has the study {made.name}, like {like}: "
                f"{number_of(networks, 'network')}.",
                *(f"  {escaped(line)}" for line in lines),
                "Edit it, and then type:",
                f"  cd {options.folder}",
                "  passband check",
                "  passband plan",
                "  passband run   # on a SLURM cluster: snakemake --profile slurm",
            ]
        )
    )
    if lines:
        print(f"  passband predict {made.name} IMAGES")
    return 0
