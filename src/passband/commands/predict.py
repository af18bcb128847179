"""``passband predict``: segment images of a microscope with trained networks."""

import argparse
import shlex
from dataclasses import fields
from pathlib import Path

from passband import extras
from passband.commands import predict_options
from passband.commands.arguments import (
    FURTHER_BEHIND,
    add_trust,
    axes_given,
    find_study,
    report_failures,
)
from passband.commands.ctf import check_unused
from passband.console import escaped
from passband.door import Experiment, Network
from passband.door import open as open_noun
from passband.door.segmenting import AUTO, check_named
from passband.errors import PassbandError
from passband.results import locate

#: What has an effect on particles that a person has labelled.
_WITH_LABELS = "help", "words", "labels", "pixel_size_A", "out", "crop", "readers_of"


def add(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "predict",
        usage="passband predict general FILES... [options]\n"
        "       passband predict NETWORK FILES... [options]\n"
        "       passband predict STUDY FILES... --network ID|auto [options]\n"
        "       passband predict --network PATH|general FILES... [options]",
        description="Segment images with a trained network. general is the network that is part of "
        "the package; NETWORK is a weights file of a study or a published folder. docs/predict.md "
        "describes the formats and the output files.",
    )
    predict_options.add(command)
    add_trust(command)
    command.set_defaults(run=run, actions=command._actions)


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit status, which is 1 if a file failed."""
    if options.labels is not None:
        return _measure_labels(options)
    from tqdm import tqdm

    from passband.commands.progress_bar import bar
    from passband.micrographs.images.settings import Settings

    if options.network != [AUTO]:
        check_unused(options, "--network auto")
    noun, files, of_study = _named(options)
    conditions = axes_given(options, FURTHER_BEHIND) | {"energy_kev": options.energy_kev}
    with bar() as progress:
        found = noun.segment(
            files,
            pixel_size_A=options.pixel_size_A,
            likeness=options.likeness,
            out=options.out,
            truth=options.truth,
            jobs=options.jobs,
            condition={name: value for name, value in conditions.items() if value is not None},
            readers_of=options.readers_of,
            verbose=options.verbose,
            report=lambda line: tqdm.write(escaped(line)),
            progress=progress,
            **{each.name: getattr(options, each.name) for each in fields(Settings)},
            **of_study,
        )
    print(*map(escaped, found.closing), sep="\n")
    return report_failures(found.failures, found.number)


def _measure_labels(options: argparse.Namespace) -> int:
    """Measure particles that a person has labelled, without a network."""
    from passband.micrographs.images.suffixes import is_image
    from passband.micrographs.segmented_files import measure_labels

    for action in options.actions:
        if action.dest not in _WITH_LABELS and getattr(options, action.dest) != action.default:
            option = action.option_strings[0]
            raise PassbandError(f"{option}: has no effect together with --labels")
    for word in options.words:
        if not is_image(Path(word)) and locate.network_path(word):
            raise PassbandError(f"{word}: is a network, and --labels needs none; leave it out")
    found = measure_labels(
        options.words,
        options.labels,
        options.out,
        pixel_size_A=options.pixel_size_A,
        crop=options.crop,
        readers_of=options.readers_of,
        report=lambda line: print(escaped(line)),
    )
    print(*map(escaped, found.closing), sep="\n")
    return report_failures(found.failures, found.number)


def _named(
    options: argparse.Namespace,
) -> tuple[Experiment | Network, list[str], dict[str, object]]:
    """Return what has the networks, the images, and the arguments that only a study takes."""
    noun, network, files = _noun(options)
    replicas = _numbers(options.replicas)
    if isinstance(noun, Network):
        if network is None and replicas is None:
            check_named(options.specimen, options.amplitude_contrast, options.sign)
            return noun, files, {}
        extras.check(extras.GRID, "a choice among networks")
        noun = Experiment(None, noun.folder)
    of_study = {
        "network": network,
        "replicas": replicas,
        "specimen": options.specimen,
        "amplitude_contrast": options.amplitude_contrast,
        "sign": options.sign,
    }
    return noun, files, of_study


def _noun(
    options: argparse.Namespace,
) -> tuple[Experiment | Network, list[str] | str | None, list[str]]:
    """Return what has the networks, the ids of networks, and the files and folders of images."""
    from passband.network_id import is_id

    nouns = options.network
    if AUTO in nouns:
        if len(nouns) > 1:
            raise PassbandError("--network = 'auto': cannot be used together with other networks")
        if len(options.words) < 2:
            raise PassbandError("no image: give a study, then files or folders")
        extras.check(extras.GRID, "--network auto")
        return find_study(options.words[0], print), AUTO, options.words[1:]
    ids = [noun for noun in nouns if is_id(noun) and not Path(noun).exists()]
    if ids and len(ids) < len(nouns):
        path = next(noun for noun in nouns if noun not in ids)
        raise PassbandError(
            f"--network = {path!r}: is not an id, and --network = {ids[0]!r} is an id; give "
            "either ids or paths"
        )
    if len(nouns) == 1 and locate.network_path(nouns[0]) is not None:
        return open_noun(nouns[0]), None, options.words
    if nouns and not ids:
        return Experiment.of_weights(*nouns), None, options.words
    first, *files = options.words
    _check_no_image(first)
    if not files:
        raise PassbandError("no image: give files or folders after the network")
    return open_noun(first), ids or None, files


def _check_no_image(word: str) -> None:
    """Raise PassbandError if a word in the place of a network names images."""
    from passband.micrographs.images.suffixes import is_image

    path = Path(word)
    what = ""
    if word == "sample" and not path.exists():
        what = "an image of the package"
    elif is_image(path) and path.exists():
        what = "an image"
    elif path.is_dir() and not (path / locate.CONFIG).exists() and not locate.network_path(word):
        files = (file for file in path.iterdir() if file.is_file())
        what = "a folder of images" if any(map(is_image, files)) else ""
    if what:
        raise PassbandError(
            f"{word}: is {what}; name a network first: passband predict general {shlex.quote(word)}"
        )


def _numbers(text: str | None) -> list[int] | None:
    """Return the numbers of the option `--replicas`, or None if it is not given."""
    if text is None:
        return None
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise PassbandError(
            f"--replicas = {text!r}: must be numbers separated by commas, such as 0,1"
        ) from None
