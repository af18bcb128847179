"""``passband ctf``: measure defocus, astigmatism and Cs from the Thon rings of images."""

import argparse
from pathlib import Path

from passband.commands.arguments import FIGURES, check_file, report_failures, report_remark
from passband.errors import PassbandError


def add(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "ctf",
        description="Measure defocus, two-fold astigmatism and Cs from the Thon rings in the "
        "background of images. Several images are of one microscope and share one Cs. docs/ctf.md "
        "describes the method.",
    )
    command.add_argument(
        "files", nargs="+", metavar="IMAGE", help="image files, or folders of image files"
    )
    add_pixel_size(command)
    add_readers(command)
    add_lens(command)
    command.add_argument(
        "--cs-um",
        type=float,
        metavar="X",
        help="Cs [µm], if it is known; without it, Cs is fitted",
    )
    command.add_argument(
        "--aperture-mrad",
        type=float,
        metavar="X",
        help="semi-angle [mrad] of the objective aperture, beyond which there are no rings; "
        "without it, an edge is searched for in the spectrum",
    )
    command.add_argument("--json", action="store_true", help="print JSON (docs/ctf.md)")
    command.add_argument(
        "--figure",
        type=Path,
        metavar="FILE.png",
        help="draw the first image's spectrum, its fit and its rings",
    )
    command.set_defaults(run=run)


def add_pixel_size(command: argparse._ActionsContainer, also: str = "") -> None:
    """Add the option `--pixel-size-A` to a command. `also` has further words for its help."""
    command.add_argument(
        "--pixel-size-A",
        type=float,
        metavar="X",
        help=f"pixel size [Å] of the images, if the files do not have one{also}",
    )


def add_readers(command: argparse._ActionsContainer) -> None:
    """Add the option `--readers-of` to a command."""
    command.add_argument(
        "--readers-of",
        metavar="STUDY",
        help="the file of a study with readers of its own for other formats (docs/add.md), whose "
        "code is run",
    )


def add_lens(command: argparse.ArgumentParser, also: str = "") -> None:
    """Add the options about rings to a command: beam energy, sign, amplitude contrast.

    `also` has further words for the help of the beam energy.
    """
    command.add_argument(
        "--energy-kev",
        type=float,
        metavar="X",
        help=f"beam energy [keV], if the files do not state it{also}",
    )
    sign = command.add_mutually_exclusive_group()
    for name, value in (("underfocus", 1), ("overfocus", -1)):
        sign.add_argument(
            f"--{name}",
            dest="sign",
            action="store_const",
            const=value,
            default=0,
            help=f"the images are in {name}",
        )
    command.add_argument(
        "--amplitude-contrast",
        type=float,
        metavar="W",
        help="amplitude contrast of the background (default: 0.1 ± 0.06)",
    )


def check_unused(options: argparse.Namespace, needs: str, *names: str) -> None:
    """Raise PassbandError if an option about an image's rings is given and has no effect.

    Args:
        needs: The option without which the options of the lens have no effect.
        *names: Options with a number, beside those that all these commands have.
    """
    signs = {1: "--underfocus", -1: "--overfocus"}
    given = [signs[options.sign]] if options.sign else []
    for name in ("amplitude_contrast", *names):
        if (value := getattr(options, name)) is not None:
            given.append(f"--{name.replace('_', '-')} = {value:g}")
    if given:
        raise PassbandError(f"{given[0]}: has an effect only together with {needs}")


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit status, which is 1 if a file cannot be used."""
    from passband.micrographs.rings.lenses import ctf

    if options.figure is not None:
        check_file("--figure", options.figure, *FIGURES)
    found = ctf(
        options.files,
        pixel_size_A=options.pixel_size_A,
        energy_kev=options.energy_kev,
        cs_um=options.cs_um,
        aperture_mrad=options.aperture_mrad,
        amplitude_contrast=options.amplitude_contrast,
        sign=options.sign,
        report=report_remark,
        readers_of=options.readers_of,
    )
    if found.images:
        print(found.to_json() if options.json else found)
    if found.images and options.figure is not None:
        from passband.figures import style

        style.save(found.plot(), [options.figure], 150)
        report_remark(f"{options.figure}: the rings of {found.images[0].name}")
    return report_failures(found.failures, found.number)
