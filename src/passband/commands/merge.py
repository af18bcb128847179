"""``passband merge``: join parts of a study that were computed on several machines."""

import argparse
from pathlib import Path

from passband.commands.arguments import check_file, report_remark
from passband.results import locate


def add(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "merge",
        description="Join parts of a study to one table, completely or not at all, and compute its "
        "information metrics and OOD metrics, see docs/merge.md.",
    )
    command.add_argument(
        "parts",
        nargs="+",
        type=locate.path_of,
        metavar="PART",
        help="a part: a study, its folder of results, its table.zarr, or a file of passband pack",
    )
    command.add_argument(
        "--into",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="the new folder of results, such as results/whole; its name is the study's name",
    )
    command.add_argument(
        "--common",
        action="store_true",
        help="leave out test conditions that some parts lack; without this option, they are an "
        "error",
    )
    command.add_argument(
        "--ood",
        type=Path,
        metavar="FILE.zarr.zip",
        help="also write the OOD metrics to one small file, without intervals of single cells",
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    into, small = options.into, options.ood
    check_file("--into", into)
    if small is not None:
        check_file("--ood", small, ".zarr.zip")
    from passband.results import parts

    parts.check_target(into)
    parts.find_all(options.parts)  # mistakes are named before xarray is imported

    from tqdm.auto import tqdm

    from passband.answers import merge  # xarray takes seconds to import

    found = merge.merge(
        options.parts,
        into,
        options.common,
        small,
        lambda groups: tqdm(groups, "OOD metrics", disable=None),
    )
    if found.left_out:
        report_remark(f"left out, see docs/merge.md: {', '.join(found.left_out)}")
    sizes = found.sizes
    print(
        f"{found.networks:,} networks of {len(options.parts)} part(s) in {into}: "
        f"{sizes['train']:,} training and {sizes['test']:,} test conditions, "
        f"{sizes['replica']} replica(s)"
        + (f"; {found.missing:,} networks are missing" if found.missing else "")
    )
    if small is not None:
        print(f"{small.stat().st_size / 1e6:.2f} MB in {small}")
    return 0
