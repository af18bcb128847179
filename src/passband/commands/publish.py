"""``passband publish``: write a folder with a network, its description and its card."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from passband.commands.arguments import STUDY, network_source, report_remark
from passband.errors import PassbandError
from passband.mixtures import Mixture
from passband.network_id import NetworkId
from passband.results import Results, published
from passband.storage import StoreError

if TYPE_CHECKING:
    import numpy as np

    from passband.grid import Condition
    from passband.learning.network_files import Network
    from passband.micrographs.trust.trust import Trust

_LICENSE = "CC-BY-4.0"


def add(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("publish")
    command.add_argument(
        "network",
        type=Path,
        help=f"a weights file (.safetensors), or {STUDY}; a study needs --network too",
    )
    command.add_argument(
        "--network",
        dest="id",
        metavar="ID",
        help="the network's id, such as "
        "gold/compact-w8-d3/df+0005.00_cs+0001.200_ap010.00_ds000100.00/0",
    )
    command.add_argument(
        "--replica", type=int, help="the replica, if the weights file has several replicas"
    )
    command.add_argument(
        "--study",
        type=Path,
        help="the study that tested the network (default: that of the weights file)",
    )
    command.add_argument(
        "--out", type=Path, help="the folder to write (default: published/ and the network's id)"
    )
    command.add_argument("--name", help="the network's name (default: made from its condition)")
    command.add_argument(
        "--license", default=_LICENSE, help=f"SPDX id of the license (default: {_LICENSE})"
    )
    command.add_argument(
        "--author", action="append", default=[], help="an author's name; may be given repeatedly"
    )
    command.add_argument(
        "--force", action="store_true", help="replace an existing published folder"
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from passband.sharing import extras
    from passband.sharing.labels import Labels, check, default_name

    extras.check()
    check(options.name, options.license, options.author)
    from passband.learning.network_files import open_networks  # torch takes seconds to import

    id = None if options.id is None else NetworkId.parse(options.id)
    source = network_source(options.network)
    results = source if isinstance(source, Results) else None
    if options.study is not None:
        results = Results.find(options.study).existing()
    networks = open_networks(source, id)
    if options.replica is not None:
        chosen = [network for network in networks if network.replica == options.replica]
    else:
        chosen = networks
    if len(chosen) != 1:
        replicas = ", ".join(str(network.replica) for network in networks)
        given = "is missing" if options.replica is None else f"= {options.replica}"
        raise PassbandError(
            f"--replica {given}: {options.network} has the replicas {replicas}; give one of them"
        )
    (network,) = chosen
    if isinstance(network.condition, Mixture):
        raise PassbandError(
            f"{network.id}: is a network of a mixture; only networks of one training condition can "
            "be published"
        )

    from passband.sharing import publication

    out = options.out or Path("published") / str(network.id).replace("/", "_")
    name = options.name or default_name(network)
    labels = Labels(name, options.license, tuple(options.author))
    results = network.results if results is None else Results(network.study, results.folder)
    expected = _expected(network, results)
    publication.publish(
        *(network, results, out, labels, options.force, expected, report_remark),
        lambda: _trust(network, expected is not None),
    )
    print(f"{network.id} is published in {out}, under the license {options.license}.")
    print(f"Read {out / publication.CARD} first.")
    return 0


def _expected(
    network: "Network", results: Results | None
) -> "Callable[[Sequence[Condition]], np.ndarray] | None":
    """Return a function for the expected Dice of a network, or None if the study is too small."""
    if results is None:
        return None
    from passband.answers.tested_networks import TestedNetworks

    try:
        # The folder has no results under further conditions, so the card does not use them.
        tested = TestedNetworks.open(results, network.metadata.specimen, with_extra=False)
        tested = tested.without_mixtures()  # as in the published folder
    except StoreError:
        raise
    except PassbandError:  # no table yet, too few conditions, or not tested on this specimen
        return None
    if not any(network.id in group.networks for group in tested.of_groups):
        return None
    return lambda conditions: tested.expected(conditions).of(network.id).mean[0]


def _trust(network: "Network", with_ctf: bool) -> "Trust | None":
    """Return what is known about images that the network has not seen, or None after a line."""
    from passband.answers import trust

    report_remark("comparing test images with the training images")
    try:
        return trust.open_trust([network], with_ctf=with_ctf)
    except PassbandError as error:
        report_remark(f"the folder has no {published.LIKENESS}, since {error}")
        return None
