"""The options of ``passband predict``, in groups."""

import argparse
from pathlib import Path

from passband.axes import MAIN_AXES
from passband.commands.arguments import FURTHER_BEHIND, add_axis, add_further
from passband.commands.ctf import add_lens, add_pixel_size, add_readers


def add(command: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    command.add_argument(
        "words",
        nargs="+",
        metavar="general|NETWORK|STUDY, FILES",
        help="a network or a study, then image files or folders of image files; only files and "
        "folders if --network is a path or general. sample is the simulated image that is part of "
        "the package",
    )
    _add_network(command.add_argument_group("the network"))
    _add_files(command.add_argument_group("images and results"))
    _add_preparation(command.add_argument_group("preparation of the images"))
    _add_particles(command.add_argument_group("particles"))
    _add_condition(
        command.add_argument_group(
            "the condition of the images",
            "for the expected Dice, which uses the transfer function if defocus, Cs, aperture and "
            "dose are given, and for --network auto",
        )
    )
    _add_computation(command.add_argument_group("computation"))


def _add_network(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--network",
        action="append",
        default=[],
        metavar="ID|PATH|auto",
        help="the id of a network of the study, with or without the replica, such as gold/"
        "compact-w8-d3/df+0005.00_cs+0001.200_ap010.00_ds000100.00/0, or a weights file or a "
        "published folder, or general; several networks: give the option several times. auto: the "
        "condition of each image is measured from its rings (docs/ctf.md), and the study's "
        "recommended network is used",
    )
    group.add_argument(
        "--replicas",
        metavar="0,1",
        help="numbers of the replicas that are used together (default: all that were named)",
    )


def _add_files(group: argparse._ArgumentGroup) -> None:
    add_pixel_size(group)
    add_readers(group)
    group.add_argument(
        "--out",
        type=Path,
        default=Path("predictions"),
        metavar="DIR",
        help="folder of the output files (default: predictions)",
    )
    group.add_argument(
        "--truth",
        type=Path,
        metavar="DIR",
        help="folder of masks with the names of the images; prints Dice, precision and recall",
    )
    group.add_argument(
        "--labels",
        type=Path,
        metavar="FILE|DIR",
        help="numbered particles that a person has drawn or corrected, or a folder of such files "
        "with the names of the images: they are measured, and no network is needed",
    )
    group.add_argument(
        "--likeness",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="compare each image with the training images, if the network is general or published, "
        "and print the Dice to expect (default: yes)",
    )
    group.add_argument(
        "--verbose",
        action="store_true",
        help="also print the networks, the preparation, the resampling and the noise",
    )


def _add_preparation(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--hot-pixels",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="remove hot pixels (default: yes)",
    )
    group.add_argument(
        "--crop",
        metavar="x0:x1,y0:y1",
        help="columns and rows [px] that are used; outside, nothing is found (default: bars and "
        "frames at the edges are cut off)",
    )
    group.add_argument(
        "--flat-field",
        action=argparse.BooleanOptionalAction,
        help="divide the image by its smooth background, or take no background off (default: "
        "divide an image that is at least twice as wide and high as the network's training "
        "images, and subtract a plane or a polynomial of degree 2 from a smaller one where it has "
        "such a background)",
    )
    group.add_argument(
        "--filter-noise",
        action=argparse.BooleanOptionalAction,
        help="filter the image as the counts of the network's training images were filtered "
        "(default: only an image whose own noise is white; docs/predict.md)",
    )


def _add_particles(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--smallest-nm",
        type=float,
        default=0.5,
        metavar="X",
        help="smallest equivalent diameter [nm] of a particle (default: 0.5)",
    )
    group.add_argument(
        "--particles",
        choices=("mask", "head"),
        default="mask",
        help="what finds single particles: the shape of the mask, or the networks' head "
        "(default: mask)",
    )


def _add_condition(group: argparse._ArgumentGroup) -> None:
    for name, said in (
        ("dose_e_per_A2", " of the images, also for networks with the normalisation `vacuum`"),
        ("defocus_nm", ": positive is underfocus"),
        ("cs_um", ", also for --network auto, if it is known"),
        ("aperture_mrad", ", also for --network auto, if files do not have it"),
    ):
        add_axis(group, MAIN_AXES[name], said, kind=float)
    add_further(group, FURTHER_BEHIND)
    group.add_argument("--specimen", help="specimen of the images, for --network auto")
    add_lens(group)


def _add_computation(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="number of processes, each with a file at a time; results are the same (default: 1)",
    )
    group.add_argument(
        "--tile",
        type=int,
        metavar="N",
        help="side [px] of tiles; results do not depend on it (default: up to 1024)",
    )
    group.add_argument(
        "--precision",
        choices=("float32", "auto", "bfloat16", "float16"),
        default="float32",
        help="precision of the network; auto: the fastest of this machine (default: float32)",
    )
