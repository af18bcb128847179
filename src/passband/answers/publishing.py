"""Publishes a network with what its study says of it: its expected Dice and training images."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from passband.answers import trust
from passband.answers.tested_networks import TestedNetworks
from passband.errors import PassbandError
from passband.grid import Condition
from passband.learning.network_files import Network
from passband.micrographs.trust import trust_files
from passband.micrographs.trust.trust import Trust
from passband.results import Results, published
from passband.sharing import publication
from passband.sharing.attribution import Labels
from passband.sharing.publication import Published
from passband.storage import StoreError
from passband.store import made


def publish(
    network: Network,
    results: Results | None,
    *,
    out: Path,
    labels: Labels,
    force: bool,
    report: Callable[[str], object],
    limits: str = "",
) -> Published:
    """Write a published folder, see :func:`passband.sharing.publication.publish`.

    Args:
        results: The study that tested the network; by default that of its weights file.
    """
    tested_by = network.results if results is None else Results(network.study, results.folder)
    if tested_by is not None:
        made.check_tested(tested_by, network.path)
    expected = _expected(network, tested_by)

    def known() -> Trust | None:
        """Return what is known about images that the network has not seen, or None."""
        try:
            if trust_files.trust_file(network).exists():  # it is published again
                return trust_files.open_trust([network])
            report("comparing test images with the training images, which takes minutes")
            return trust.measured_trust(network, with_ctf=expected is not None)
        except PassbandError as error:
            report(f"the folder has no {published.LIKENESS}, since {error}")
            return None

    return publication.publish(
        network,
        tested_by,
        out,
        labels=labels,
        force=force,
        expected=expected,
        report=report,
        trust=known,
        limits=limits,
    )


def _expected(
    network: Network, results: Results | None
) -> Callable[[Sequence[Condition]], np.ndarray] | None:
    """Return a function for the expected Dice of a network, or None if the study is too small."""
    if results is None:
        return None
    try:
        # The folder has no results under further conditions, so the card does not use them.
        tested = TestedNetworks.open(results, network.metadata.specimen, with_further=False)
        tested = tested.without_mixtures()  # as in the published folder
    except StoreError:
        raise
    except PassbandError:  # no table yet, too few conditions, or not tested on this specimen
        return None
    if not any(network.id in rows.networks for rows in tested.of_matrices):
        return None
    return lambda conditions: tested.expected(conditions).of(network.id).mean[0]
