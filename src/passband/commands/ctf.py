"""``passband ctf``: measure defocus, astigmatism and Cs from the Thon rings of images."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from passband.commands.arguments import FIGURES, check_file, report_remark
from passband.console import escaped
from passband.errors import PassbandError

if TYPE_CHECKING:
    from passband.micrographs.rings.lens import Known


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


def add_pixel_size(command: argparse.ArgumentParser, also: str = "") -> None:
    """Add the option `--pixel-size-A` to a command. `also` has further words for its help."""
    command.add_argument(
        "--pixel-size-A",
        type=float,
        metavar="X",
        help=f"pixel size [Å] of the images, if the files do not have one{also}",
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


def known_lens(
    options: argparse.Namespace, cs_um: float | None, aperture_mrad: float | None
) -> "Known":
    """Return what the options of a command say about the microscope."""
    from passband.micrographs.rings.lens import Known

    return Known(options.energy_kev, cs_um, aperture_mrad, options.amplitude_contrast, options.sign)


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
    from passband.micrographs.images import pixel_size, readers
    from passband.micrographs.rings import lens

    if options.figure is not None:
        check_file("--figure", options.figure, *FIGURES)
    pixel_size.check_option(options.pixel_size_A)
    known = known_lens(options, options.cs_um, options.aperture_mrad)
    known.check()
    paths = readers.find(options.files, report_remark)
    failures: list[str] = []
    found = lens.measure(paths, options.pixel_size_A, known, failures=failures)
    if options.json and found:
        dicts = [each.as_dict() for each in found]
        content = dicts[0] if len(dicts) == 1 and not failures else {"images": dicts}
        print(json.dumps(content, ensure_ascii=False))
    elif found:
        print("\n".join(map(escaped, _lines(found))))
    if found and options.figure is not None:
        from passband.figures import style, thon_rings

        figure = thon_rings.thon_rings(found[0])
        style.save(figure, [options.figure], 150)
        report_remark(f"{options.figure}: the rings of {found[0].name}")
    sys.stdout.flush()
    if failures and len(paths) > 1:
        print(f"{len(failures)} of {len(paths)} files failed:", file=sys.stderr)
    print(*failures, sep="\n", end="\n" if failures else "", file=sys.stderr)
    return 1 if failures else 0


def _lines(found: list) -> list[str]:
    """Return the lines that are printed about measured images."""
    lines = []
    for each in found:
        lines += [each.line(), *(f"  {note}" for note in each.notes)]
    seen = [each for each in found if each.measurement.is_visible]
    if seen:
        cs = seen[0].as_dict()["cs_um"]
        fixed = seen[0].settings.cs_A is not None
        how = "as given" if fixed else f"fitted, {cs['low']:.0f} to {cs['high']:.0f}"
        lines.append(
            f"Cs {cs['value']:.0f} µm ({how})"
            if cs["value"] >= 20
            else f"Cs {cs['value']:.2f} µm ({how})"
        )
        lines.append("not determined:")
        sentences = dict.fromkeys(s for each in seen for s in each.undetermined())
        lines += [f"  {sentence}" for sentence in sentences]
    return lines
