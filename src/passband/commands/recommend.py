"""``passband recommend``: rank a study's networks for a microscope, and check such rankings."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from passband import gone
from passband.axes import AXES
from passband.commands.arguments import (
    DEFAULT_STUDY,
    FIGURES,
    add_axes,
    add_study,
    axes_given,
    check_file,
    find_study,
    report_many,
    report_remark,
)
from passband.commands.ctf import add_lens, add_pixel_size, check_unused
from passband.door import Experiment
from passband.errors import PassbandError
from passband.results import locate

if TYPE_CHECKING:
    from passband.prediction.recommend.network_ranking import Recommendation

#: The axes whose options are about an image, if there is one.
_OF_IMAGE = "energy_kev", "pixel_size_A"


def _given(options: argparse.Namespace) -> dict[str, str | float | None]:
    """Return what is given for each axis, with None where nothing is."""
    given = axes_given(options)
    for name in _OF_IMAGE:
        if given[name] is None:
            given[name] = getattr(options, name)
        elif options.like:
            raise PassbandError(
                f"{AXES[name].on_command_line(str(given[name]))}: has no effect together with "
                f"--like; give --{name.replace('_', '-')} of the image"
            )
    return given


def _option(name: str, options: argparse.Namespace) -> str:
    """Return the option that gave the value of an axis."""
    of_image = name in _OF_IMAGE and getattr(options, name) is not None
    return f"--{name.replace('_', '-')}" if of_image else AXES[name].option


def add(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("recommend")
    add_study(command)
    add_axes(command)
    command.add_argument(
        "--like",
        nargs="+",
        type=Path,
        metavar="IMAGE",
        help="measure defocus and, without --cs-um, Cs from the rings of this image "
        "(docs/ctf.md); aperture and dose are from the file or from the options. With --by image, "
        "rank for the microscope of these images by their power spectrum, without any lens",
    )
    also = "; without --like, a value that the study has exit waves for"
    add_pixel_size(command, also)
    add_lens(command, also)
    command.add_argument(
        "--specimen",
        help="your specimen; necessary if the study tests networks on several specimens",
    )
    command.add_argument(
        "--top", type=int, metavar="N", help="number of networks (default: 10; in JSON, all)"
    )
    command.add_argument(
        "--by",
        default="lens",
        metavar="lens|image",
        help="compare conditions by their transfer, or by images of --like (default: lens)",
    )
    command.add_argument("--json", action="store_true", help="print JSON (docs/recommend.md)")
    command.add_argument(
        "--figure",
        type=Path,
        metavar="FILE.png",
        help="draw the first network's expected Dice over defocus and dose around your microscope",
    )
    command.add_argument(
        "--check",
        nargs="?",
        const="",
        metavar="STUDY",
        help="leave out each test condition in turn, and say how much Dice the networks "
        "recommended for it lose, and whether the intervals are true",
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    by_image = _by_image(options)
    if options.check is not None:
        return _check(options)
    if not options.like:
        check_unused(options, "--like")
    if options.figure is not None:
        check_file("--figure", options.figure, *FIGURES)
    study = Experiment(None, options.study)  # a published folder has priority, as in predict
    if not study.is_published:
        study = find_study(options.study)
        report_many(study)
    given = _given(options)
    known = {
        "specimen": options.specimen,
        "top": options.top,
        "report": report_remark,
    }
    if by_image:
        found = study.recommend_by_images(options.like, pixel_size_A=options.pixel_size_A, **known)
    elif options.like:
        found = study.recommend_like(
            options.like[0],
            given | {"pixel_size_A": None},
            pixel_size_A=options.pixel_size_A,
            amplitude_contrast=options.amplitude_contrast,
            sign=options.sign,
            **known,
        )
        first = found.by_sign[0].found
    else:
        first = found = study.recommend(given, **known)
    print(found.to_json() if options.json else found)
    if options.figure is not None:
        _draw(study, first, options.figure)
    return 0


def _by_image(options: argparse.Namespace) -> bool:
    """Return whether conditions are compared by images."""
    if said := gone.value("recommend", "--by", options.by):
        raise PassbandError(said)
    if options.by not in ("lens", "image"):
        raise PassbandError(f"--by = {options.by!r}: must be lens or image")
    by_image = options.by == "image"
    if not by_image and len(options.like or []) > 1:
        raise PassbandError(
            "--like: takes one image, or several together with --by image; a study comes before it"
        )
    if by_image:
        axes = _given(options) | {"pixel_size_A": None}
        given = [_option(name, options) for name, value in axes.items() if value is not None]
        given += [f"--{name}" for name in ("figure", "check") if getattr(options, name) is not None]
        if given:
            raise PassbandError(f"--by image: cannot be used together with {given[0]}")
        if not options.like:
            raise PassbandError("--by image: needs --like FILES, images of your microscope")
        check_unused(options, "--by lens")
    return by_image


def _draw(study: Experiment, found: "Recommendation", file: Path) -> None:
    """Write the figure of a recommendation, if a network is recommended."""
    if not found.networks:
        report_remark(f"{file}: is not drawn, since no network is recommended")
        return
    from passband.figures import style

    style.save(study.plot_recommendation(found), [file], study.study.figures.dpi)
    report_remark(f"{file}: expected Dice over defocus and dose")


def _check(options: argparse.Namespace) -> int:
    """Print what recommendations of the study are worth."""
    if options.check and options.study != DEFAULT_STUDY:
        raise PassbandError(f"--check = {options.check!r}: takes no value; give one study")
    axes = _given(options).items()
    given = [_option(name, options) for name, value in axes if value is not None]
    for name in ("top", "figure", "like"):
        given += [f"--{name}"] if getattr(options, name) is not None else []
    if given:
        raise PassbandError(f"--check: cannot be used together with {given[0]}")
    check_unused(options, "--like")
    study = find_study(locate.path_of(options.check) if options.check else options.study)
    report_many(study)
    found = study.check_recommendations(options.specimen, report_remark)
    print(found.to_json() if options.json else found)
    return 0
