"""``passband recommend``: rank a study's networks for a microscope, and check such rankings."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from passband.axes import AXES
from passband.commands.arguments import (
    DEFAULT_STUDY,
    FIGURES,
    add_axes,
    add_study,
    check_file,
    find_study,
    report_many,
    report_remark,
)
from passband.commands.ctf import add_lens, add_pixel_size, check_unused, known_lens
from passband.config.base import number_in
from passband.console import escaped
from passband.door import Experiment
from passband.errors import PassbandError
from passband.grid import Axes
from passband.results import layout, locate

if TYPE_CHECKING:
    from passband.answers.tested_networks import TestedNetworks
    from passband.prediction.recommend.network_ranking import Recommendation


def add(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("recommend")
    add_study(command)
    # The options about an image have the same names as the axes, see below.
    add_axes(command, without=("energy_kev", "pixel_size_A"))
    command.add_argument(
        "--like",
        type=Path,
        metavar="IMAGE",
        help="measure defocus and, without --cs-um, Cs from the rings of this image "
        "(docs/ctf.md); aperture and dose are from the file or from the options",
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
    command.add_argument("--seed", help=argparse.SUPPRESS)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    if options.seed is not None:
        raise PassbandError(
            f"--seed = {options.seed}: is no option any more, since --check draws nothing"
        )
    if options.check is not None:
        return _check(options)
    from passband.prediction.range_of_use import Asked

    given = {name: getattr(options, name) for name in AXES}
    if options.like:  # these options are about the image
        given |= {"energy_kev": None, "pixel_size_A": None}
    else:  # words that are wrong for every study are refused before it is read
        Asked.parse(given, Axes(others=dict.fromkeys(AXES, 0.0)))
    if options.like and options.defocus_nm is not None:
        raise PassbandError(
            f"--like = {str(options.like)!r}: cannot be used together with --defocus-nm"
        )
    if not options.like:
        check_unused(options, "--like")
    elif options.like.is_dir() and options.like.suffix != ".zarr":
        raise PassbandError(f"--like = {str(options.like)!r}: is a folder; give one image")
    if options.top is not None and options.top < 1:
        raise PassbandError(f"--top = {options.top}: must be 1 or more")
    if options.figure is not None:
        check_file("--figure", options.figure, *FIGURES)
    results = Experiment(None, options.study)  # a published folder has priority, as in predict
    if not results.is_published:
        results = find_study(options.study)
        report_many(results)
    from passband.prediction.recommend import recommendation_text as reports
    from passband.results import published

    tested = results.tested(options.specimen)
    if results.is_published and (remark := published.unchecked(results.folder)):
        report_remark(remark)
    study = results.study
    _report_left_out(results, tested)
    if options.like:
        found = _like(options, tested, given)
    else:
        found = results.recommend(given, options.specimen)
        if options.json:
            print(json.dumps(found.as_dict(options.top), ensure_ascii=False))
        else:
            top, remark = options.top or reports.TOP, _remark(tested)
            print(reports.recommendation(found, study.study.name, top, remark))
    if options.figure is not None and not found.networks:
        report_remark(f"{options.figure}: is not drawn, since no network is recommended")
    elif options.figure is not None:
        from passband.figures import dice_map as figures
        from passband.figures import style

        network = found.networks[0].id
        figure = figures.recommendation(
            found.asked,
            network,
            tested.tested,
            lambda conditions: tested.expected(conditions).of(network),
            tested.doses,
        )
        style.save(figure, [options.figure], study.figures.dpi)
        report_remark(f"{options.figure}: expected Dice over defocus and dose")
    return 0


def _report_left_out(results: Experiment, tested: "TestedNetworks") -> None:
    """Say which results of `passband evaluate` are not used, and why."""
    from passband.storage import lease

    if number := tested.left_out:
        if tester := lease.holder_of(results.path(layout.FURTHER_LEASE)):
            why = f"passband evaluate still tests networks there: {tester}"
        else:
            why = (
                "some networks have no valid results there; run the study, and then passband "
                "evaluate"
            )
        report_remark(f"{number} further condition(s) are not used, because {why}")


def _remark(tested: "TestedNetworks") -> str:
    from passband.reports.unlearned import sentence

    return sentence(tested.results.matrices())


def _single(name: str, given: dict) -> float | None:
    """Return the value of an axis as a number, or None if it is a range or is not given.

    A range of apertures leaves the image's aperture unknown; a Cs must be one number.
    """
    text = given[name]
    if text is None or (name != "cs_um" and ":" in text):
        return None
    try:
        return float(text)
    except ValueError:
        raise PassbandError(
            f"{AXES[name].option} = {text!r}: must be a number together with --like"
        ) from None


def _like(options: argparse.Namespace, tested: "TestedNetworks", given: dict) -> "Recommendation":
    """Print the networks for an image's condition, and return those for the likelier sign."""
    from passband.answers import image_recommendation
    from passband.micrographs.images import pixel_size
    from passband.prediction.recommend import recommendation_text as reports

    pixel_size.check_option(options.pixel_size_A)
    known = known_lens(options, _single("cs_um", given), _single("aperture_mrad", given))
    lens = image_recommendation.measure(options.like, options.pixel_size_A, known, tested.study)
    both = image_recommendation.recommend(tested, lens, given)
    if options.json:
        recommendations = [
            {"sign": image_recommendation.SIGNS[each.sign], "likelihood": each.likelihood}
            | each.found.as_dict(options.top)
            for each in both
        ]
        content = {"measured": lens.as_dict(), "recommendations": recommendations}
        print(json.dumps(content, ensure_ascii=False))
        return both[0].found
    print("\n".join(map(escaped, [lens.line(), *(f"  {note}" for note in lens.notes)])))
    for each in both:
        name, top = tested.study.study.name, options.top or reports.TOP
        text = reports.recommendation(each.found, name, top, _remark(tested))
        print(f"\n{each.words}\n\n{text}")
    return both[0].found


def _check(options: argparse.Namespace) -> int:
    """Print what recommendations of the study are worth."""
    if number_in(options.check) is not None:
        raise PassbandError(
            f"--check = {options.check}: takes no number any more; it leaves out each test "
            "condition of the study in turn"
        )
    if options.check and options.study != DEFAULT_STUDY:
        raise PassbandError(f"--check = {options.check!r}: takes no value; give one study")
    asked = ((getattr(options, name), axis.option) for name, axis in AXES.items())
    given = [word for value, word in asked if value is not None]
    for name in ("top", "figure", "like"):
        given += [f"--{name}"] if getattr(options, name) is not None else []
    if given:
        raise PassbandError(f"--check: cannot be used together with {given[0]}")
    check_unused(options, "--like")
    results = find_study(locate.path_of(options.check) if options.check else options.study)
    report_many(results)
    from passband.prediction.recommend import recommendation_text as reports

    _report_left_out(results, results.tested(options.specimen))
    found = results.check_recommendations(options.specimen)
    if options.json:
        print(json.dumps(found.as_dict(), ensure_ascii=False))
        return 0
    print(reports.check(found))
    if remark := _remark(results.tested(options.specimen)):
        print(remark)
    return 0
