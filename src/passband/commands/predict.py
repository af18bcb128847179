"""``passband predict``: segment images of a microscope with trained networks."""

import argparse
import sys
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

from passband import PassbandError
from passband.axes import MAIN_AXES
from passband.commands.arguments import FURTHER_BEHIND, add_axis
from passband.commands.ctf import add_lens, add_pixel_size
from passband.commands.image_trust import Assessors
from passband.commands.network_choice import check_named, failure, is_auto, named, recommended
from passband.console import escaped


def add(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "predict",
        usage="passband predict NETWORK FILES... [options]\n"
        "       passband predict STUDY FILES... --network ID [options]\n"
        "       passband predict STUDY FILES... --network auto [options]\n"
        "       passband predict --network PATH|general FILES... [options]",
        description="Segment images with a trained network. NETWORK is a weights file of a study "
        "or a published folder. docs/predict.md describes the formats and the output files.",
    )
    command.add_argument(
        "words",
        nargs="+",
        metavar="NETWORK|STUDY, FILES",
        help="a network or a study, then image files or folders of image files; only files and "
        "folders if --network is a path or general. sample is the simulated image that is part of "
        "the package",
    )
    command.add_argument(
        "--network",
        action="append",
        default=[],
        metavar="ID|PATH|auto",
        help="the id of a network of the study, with or without the replica, such as gold/"
        "compact-w8-d3/df+0005.00_cs+0001.200_ap010.00_ds000100.00/0, or a weights file or a "
        "published folder, or general, the network that is part of the package; several networks: "
        "give the option several times. auto: the condition of each image is measured from its "
        "rings (docs/ctf.md), and the study's recommended network is used",
    )
    command.add_argument(
        "--replicas",
        metavar="0,1",
        help="numbers of the replicas that are used together (default: all that were named)",
    )
    add_pixel_size(command)
    command.add_argument(
        "--out",
        type=Path,
        default=Path("predictions"),
        metavar="DIR",
        help="folder of the output files (default: predictions)",
    )
    command.add_argument(
        "--truth",
        type=Path,
        metavar="DIR",
        help="folder of masks with the names of the images; prints Dice, precision and recall",
    )
    command.add_argument(
        "--hot-pixels",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="remove hot pixels (default: yes)",
    )
    command.add_argument(
        "--flat-field",
        action=argparse.BooleanOptionalAction,
        help="divide the image by its smooth background (default: only an image that is at least "
        "4 times as wide and high as the network's training images)",
    )
    command.add_argument(
        "--filter-noise",
        action=argparse.BooleanOptionalAction,
        help="filter the image as the counts of the network's training images were filtered "
        "(default: only an image whose own noise is white; docs/predict.md)",
    )
    command.add_argument(
        "--normalise",
        choices=("image", "local"),
        default="image",
        help="the network's own normalisation over the whole image, or local: mean 0 and variance "
        "1 in the surroundings of each pixel (default: image)",
    )
    for name, said in (
        (
            "dose_e_per_A2",
            "for networks with the normalisation `vacuum`, for the expected Dice and for --network "
            "auto",
        ),
        (
            "defocus_nm",
            "positive is underfocus; with it, Cs, the aperture and the dose, the expected Dice "
            "uses the transfer function",
        ),
        ("cs_um", "also for --network auto, if it is known"),
        ("aperture_mrad", "also for --network auto, if files do not have it"),
    ):
        add_axis(command, MAIN_AXES[name], f" of the images, {said}", float)
    command.add_argument(
        "--likeness",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="compare the images with the training images, and print the expected Dice of each "
        "image (default: yes)",
    )
    command.add_argument("--specimen", help="specimen of the images, for --network auto")
    add_lens(command)
    command.add_argument(
        "--adapt",
        action="store_true",
        help="use the image's own statistics in batch normalisation: better for images that are "
        "unlike the training images, worse for images that are like the training images",
    )
    command.add_argument(
        "--mirror",
        action="store_true",
        help="segment three mirror images too, for the column found_in of the table of particles; "
        "this takes up to four times as long",
    )
    command.add_argument(
        "--smallest-nm",
        type=float,
        default=0.5,
        metavar="X",
        help="smallest equivalent diameter [nm] of a particle (default: 0.5)",
    )
    command.add_argument(
        "--tile",
        type=int,
        metavar="N",
        help="side [px] of tiles; results do not depend on it (default: up to 1024)",
    )
    command.add_argument(
        "--precision",
        choices=("float32", "auto", "bfloat16", "float16"),
        default="float32",
        help="precision of the network; auto: the fastest of this machine (default: float32)",
    )
    further = command.add_argument_group(
        "further axes",
        "a value, for the expected Dice and for --network auto (default: the study's own value)",
    )
    for axis in FURTHER_BEHIND.values():
        add_axis(further, axis, kind=float)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit status, which is 1 if a file failed."""
    from tqdm import tqdm

    from passband.micrographs import predictions
    from passband.micrographs.images import pixel_size, readers
    from passband.micrographs.images.segmentation import Settings

    pixel_size.check_option(options.pixel_size_A)
    settings = Settings(**{each.name: getattr(options, each.name) for each in fields(Settings)})
    settings.check([])
    if is_auto(options):
        networks, files = [], options.words[1:]
    else:
        check_named(options)
        networks, files = named(options)
    settings.check(networks)
    if options.truth is not None and not options.truth.is_dir():
        raise PassbandError(f"--truth = {str(options.truth)!r}: there is no such folder")
    paths = readers.find(files)
    _check_out(options.out, paths)
    names = predictions.output_names(paths)
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
    for network in {n.id: n for n in networks}.values():
        print(f"network {network.id}, pixels of {network.pixel_size_A:g} Å")
        if remark := network.limits or network.unchecked:
            print(f"  {remark}")
    if networks:
        print(f"preparation: {_preparation(networks, options)}")
    if networks and all(len(own) == 1 for own in chosen.values()):
        print("one network: there is no map of the disagreement between networks")

    assessors = Assessors(options)
    for path, own in chosen.items():  # before the first image, since this may take seconds
        assessors.of(own, ctf.get(path))

    def tiles(parts: Iterable) -> Iterable:
        return tqdm(parts, unit="tile", leave=False, disable=None)

    failures, done = [], []
    with tqdm(total=len(paths), unit="file", disable=None) as bar:
        for path, name in zip(paths, names, strict=True):
            if path in failed:
                failures.append(failed[path])
                bar.update()
                continue
            try:
                result = predictions.predict_file(
                    path,
                    chosen[path],
                    settings,
                    options.out,
                    name,
                    options.pixel_size_A,
                    options.truth,
                    tiles,
                    assessors.of(chosen[path], ctf.get(path)),
                )
            except Exception as error:  # the other files are still segmented
                failures.append(failure(path, error))
            else:
                done.append(result)
                bar.write("\n".join(map(escaped, result.lines)))
                sys.stdout.flush()
            bar.update()
    if done:
        number = sum(len(result.written) for result in done)
        print(escaped(f"{number} files in {options.out}; first open {done[0].overlay}"))
    every = [found for result in done for found in result.assessments]
    if number := sum(found.is_flagged for found in every):
        which = f"{number} of {len(every)} images are unlike the training images"
        print(f"{which}: do not trust these masks")
    if failures:
        print(f"{len(failures)} of {len(paths)} files failed:", file=sys.stderr)
        print("\n".join(failures), file=sys.stderr)
    if options.truth is not None:
        print("\n".join(map(escaped, predictions.truth_lines(done))))
    return 1 if failures else 0


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
        None: "field of large images flattened",
        True: "field flattened",
        False: "field not flattened",
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
