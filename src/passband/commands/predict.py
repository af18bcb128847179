"""``passband predict``: segment images of a microscope with trained networks."""

import argparse
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from passband.commands import predict_labels, predict_options
from passband.commands.image_trust import assessors
from passband.commands.network_choice import check_named, is_auto, named, recommended
from passband.console import escaped
from passband.errors import PassbandError
from passband.words import number_of

if TYPE_CHECKING:
    from passband.micrographs.batch import Task
    from passband.micrographs.images.segmentation import Settings
    from passband.micrographs.predictions import Prediction
    from passband.micrographs.summary import Frame

#: What the expected Dice of several images does not say (docs/trust.md).
_NO_ORDER = "expected Dice compares preparations of one image; that it orders images is not shown"


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
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit status, which is 1 if a file failed."""
    from tqdm import tqdm

    from passband.micrographs import batch, size_figure, summary, truth
    from passband.micrographs.images import pixel_size, readers
    from passband.micrographs.images.segmentation import Settings

    pixel_size.check_option(options.pixel_size_A)
    settings = Settings(**{each.name: getattr(options, each.name) for each in fields(Settings)})
    settings.check([])
    if options.jobs < 1:
        raise PassbandError(f"--jobs = {options.jobs}: must be at least 1")
    if options.labels is not None:
        return _measure_labels(options)
    if is_auto(options):
        networks, files = [], options.words[1:]
    else:
        check_named(options)
        networks, files = named(options)
    settings.check(networks)
    if options.truth is not None and not options.truth.is_dir():
        raise PassbandError(f"--truth = {str(options.truth)!r}: there is no such folder")
    paths = readers.find(files, lambda line: print(escaped(line)))
    _check_out(options.out, paths)
    tasks, remarks = _tasks(options, settings, networks, paths)

    def tiles(parts: Iterable) -> Iterable:
        return tqdm(parts, unit="tile", leave=False, disable=None)

    _begin(options.out)
    failures: list[str] = []
    done: list[Prediction] = []
    frames: list[Frame] = []
    with tqdm(total=len(paths), unit="file", disable=None) as bar:
        outcomes = batch.outcomes(tasks, options.jobs, tiles)
        for task, outcome in zip(tasks, outcomes, strict=True):
            frames += task.frames(outcome)
            if isinstance(outcome, str):
                failures.append(outcome)
            else:
                done.append(outcome)
                bar.write("\n".join(map(escaped, _lines(outcome, options.verbose))))
                sys.stdout.flush()
            bar.update()
    tables, sizes = size_figure.write(frames, options.out)
    tables += summary.write(frames, options.out)
    if len(frames) > 1:
        print(sizes)
    for remark in remarks:
        print(escaped(remark))
    if done:
        number = sum(len(result.written) for result in done) + len(tables)
        print(escaped(f"{number} files in {options.out}; first open {done[0].overlay}"))
    for line in _closing(done, frames, tasks):
        print(escaped(line))
    if failures:
        print(f"{len(failures)} of {len(paths)} files failed:", file=sys.stderr)
        print("\n".join(failures), file=sys.stderr)
    if options.truth is not None:
        found = [(frame.name, frame.score) for frame in frames if frame.score is not None]
        print("\n".join(map(escaped, truth.lines(found))))
    return 1 if failures else 0


def _measure_labels(options: argparse.Namespace) -> int:
    """Measure particles that a person has labelled, without a network."""
    from passband.micrographs.images import readers

    files = predict_labels.images(options.words)
    paths = readers.find(files, lambda line: print(escaped(line)))
    _check_out(options.out, paths)
    labels = predict_labels.find(options, paths)
    _begin(options.out)
    return predict_labels.run(labels, paths, options.out)


def _tasks(
    options: argparse.Namespace, settings: "Settings", networks: list, paths: list[Path]
) -> "tuple[list[Task], list[str]]":
    """Return what is done with each file, and remarks on the networks.

    The networks and their training images are read before the first image, which may take long.
    """
    from passband.micrographs import predictions
    from passband.micrographs.batch import Task
    from passband.micrographs.trust.trust import Unassessed

    names = predictions.output_names(paths)
    opened = assessors(options, settings)
    chosen, ctf, failed = dict.fromkeys(paths, networks), {}, {}
    if is_auto(options):
        chosen, ctf, failed = recommended(options, paths)
    networks = [network for own in chosen.values() for network in own]
    settings.check(networks)
    white = all(network.microscope.detector.noise.is_white for network in networks)
    if options.filter_noise and networks and white:
        raise PassbandError(
            "--filter-noise: has no effect, since the noise of the training images is white"
        )
    if options.verbose and networks:
        _print_networks(options, networks, all(len(own) == 1 for own in chosen.values()))
    tasks: list[Task] = []
    predictors: dict[tuple, predictions.Predictor] = {}
    for path, name in zip(paths, names, strict=True):
        if path in failed:
            tasks.append(Task(path, name, failed[path]))
            continue
        own = chosen[path]
        expected = ctf.get(path)
        key = (*((each.path, each.id) for each in own), str(expected))
        if key not in predictors:
            why = "--no-likeness was given"
            predictors[key] = predictions.Predictor(
                networks=own,
                settings=settings,
                folder=options.out,
                pixel_size_A=options.pixel_size_A,
                masks=options.truth,
                assessor=Unassessed(why) if opened is None else opened.of(own, expected),
            )
        tasks.append(Task(path, name, predictors[key]))
    remarks = [network.unchecked for network in networks]
    remarks += [] if opened is None else opened.notes
    return tasks, list(dict.fromkeys(filter(None, remarks)))


def _print_networks(options: argparse.Namespace, networks: list, are_single: bool) -> None:
    """Print what developers want to know before the results."""
    for network in {network.id: network for network in networks}.values():
        print(f"network {network.id}, pixels of {network.pixel_size_A:g} Å")
        if network.limits:
            print(f"  {network.limits}")
    print(f"preparation: {_preparation(networks, options)}")
    if are_single:
        print("one network: there is no map of the disagreement between networks")


def _lines(result: "Prediction", verbose: bool) -> list[str]:
    """Return what is printed about a file."""
    lines: list[str] = []
    for frame in result.frames:
        lines += [frame.line, f"  {frame.verdict}"]
        lines += [f"  {step}" for step in (frame.done if verbose else frame.repairs)]
    notes = dict.fromkeys(note for frame in result.frames for note in frame.notes)
    return lines + [f"  {note}" for note in notes]


def _closing(
    done: "Sequence[Prediction]", frames: "Sequence[Frame]", tasks: "Sequence[Task]"
) -> list[str]:
    """Return what is said about all files together."""
    lines = []
    if earlier := sum(result.is_earlier for result in done):
        lines.append(f"{earlier} of {number_of(len(tasks), 'file')} had been done before")
    images = [frame for frame in frames if not frame.error]
    if flagged := sum(bool(frame.flags) for frame in images):
        which = f"{flagged} of {len(images)} images are unlike the training images"
        lines.append(f"{which}: do not trust these masks")
    if sum(frame.expected_dice is not None for frame in images) > 1:
        lines.append(_NO_ORDER)
    return lines


def _begin(out: Path) -> None:
    """Check that results can be written, and remove the tables of an earlier run."""
    from passband.micrographs import records, size_figure, summary

    try:
        out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out).close()
    except OSError as error:
        raise PassbandError(f"--out = {str(out)!r}: cannot be written: {error.strerror}") from None
    records.clear(out)
    size_figure.clear(out)
    summary.clear(out)


def _check_out(out: Path, paths: list[Path]) -> None:
    """Check that no output file can replace an image, or be an image of the next run."""
    if out.exists() and not out.is_dir():
        raise PassbandError(f"--out = {str(out)!r}: is a file; give a folder")
    for path in paths:
        if out.resolve() == path.resolve().parent:
            raise PassbandError(f"--out = {str(out)!r}: is the folder of {path}; give another")


def _preparation(networks: list, options: argparse.Namespace) -> str:
    """Return a description of the preparation."""
    kinds = " and ".join(dict.fromkeys(network.normalisation for network in networks))
    flat = {
        None: "background taken off where there is one",
        True: "divided by the smooth background",
        False: "background kept",
    }
    words = [
        "hot pixels removed" if options.hot_pixels else "hot pixels kept",
        flat[options.flat_field],
        "local zscore" if options.normalise == "local" else f"{kinds} over the whole image",
        "batch statistics of the image" if options.adapt else "batch statistics of the training",
        f"particles of {options.smallest_nm:g} nm or more",
        options.precision,
    ]
    return ", ".join(words)
