"""What is known about images that networks have never seen: measured once, and then opened.

A network is compared with its study's images when it is published. A published folder has the
result in ``likeness.json``, which `passband predict` reads.
"""

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from passband.errors import PassbandError
from passband.grid import Condition
from passband.micrographs.models.network import Network
from passband.micrographs.trust.trust import Trust
from passband.micrographs.trust.trust_files import by_condition
from passband.mixtures import Mixture
from passband.network_id import NetworkId
from passband.results import Results

if TYPE_CHECKING:
    from passband.answers.likeness import Measured
    from passband.learning import network_files


def measured(networks: "Sequence[network_files.Network]") -> "Measured":
    """Return the measurements of networks of one training condition, which take minutes.

    Args:
        networks: One network, or replicas that are used together, in the results of a study.

    Raises:
        PassbandError: If the networks are not in the results of a study, or if exit waves are
            missing.
    """
    from passband.answers.likeness import StudyImages  # torch takes seconds to import

    first = networks[0]
    if isinstance(first.condition, Mixture) or first.results is None:
        raise PassbandError(first.unmeasured)
    images = StudyImages(first.results, first.normalisation, first.metadata.architecture)
    return images.measure(networks)


def measured_trust(network: "network_files.Network", with_ctf: bool) -> Trust:
    """Return what is needed to assess images of a network, by measuring its study's images.

    Args:
        with_ctf: Whether the Dice that the study's model expects under a condition will be known.
            Without a table of results, the Dice of :func:`expected_dice` is not used.

    Raises:
        PassbandError: See :func:`measured`.
    """
    from passband.answers.likeness import calibrate

    found = measured([network])
    ctf = None
    if with_ctf:
        with contextlib.suppress(PassbandError):  # no table yet, or too few conditions
            ctf = expected_left_out(found, [network])
    return calibrate(found, ctf)


def expected_dice(networks: Sequence[Network], condition: Condition) -> dict[NetworkId, float]:
    """Return the Dice that the study's model expects for each network under a condition.

    A further axis that `condition` does not have has the study's own value.

    Raises:
        PassbandError: If the networks are not in the results of a study with a table.
    """
    result = {}
    for group in by_condition(networks):
        tested = _tested(group)
        found = tested.expected([tested.study.axes.condition(condition.values())])
        known = dict(zip(found.networks, found.mean[:, 0].tolist(), strict=True))
        result |= {network.id: known[network.id] for network in group if network.id in known}
    return result


def _tested(networks: Sequence[Network]):
    """Return the tested networks of the study to which networks belong."""
    from passband.answers.tested_networks import TestedNetworks  # xarray takes seconds to import

    first = networks[0]
    results = Results(None, first.path.parent) if first.is_published else first.results
    if results is None:
        raise PassbandError(f"{first.path} is not in the results of a study")
    tested = TestedNetworks.open(results, first.id.specimen, with_further=False)
    return tested.without_mixtures()


def expected_left_out(found: "Measured", networks: Sequence[Network]) -> np.ndarray:
    """Return the Dice that the study's model expects for each image of measurements.

    The model has not seen the test condition of the image. The expected Dice of an image of another
    test specimen, and of a distorted image, is that of the same condition: the condition says no
    more about these images.

    Returns:
        (n,): the expected Dice; for replicas, the mean of theirs.

    Raises:
        PassbandError: If there is no table of results, or if it has too few conditions.
    """
    from passband.prediction import gaussian_process

    tested = _tested(networks)
    ((of_matrix, model),) = (
        (of_matrix, fitted.model)
        for of_matrix, fitted in zip(tested.of_matrices, tested.fitted, strict=True)
        if found.networks[0] in of_matrix.networks
    )
    of_networks = tested.profiles([Condition.parse(id) for id in of_matrix.train])
    known = [condition.id for condition in tested.tested]
    rows = [of_matrix.networks.index(id) for id in found.networks]
    expected = {}
    for left in dict.fromkeys(id for _, id, _ in found.places):
        others = [k for k, id in enumerate(known) if id != left]
        of_others = tested.profiles([Condition.parse(known[k]) for k in others])
        process = gaussian_process.fit(
            of_matrix.dice[:, others], of_networks, of_others, theta=model.theta
        )
        mean, _ = process.predict(None, tested.profiles([Condition.parse(left)]))
        expected[left] = float(mean[rows, 0].mean())
    return np.array([expected[id] for _, id, _ in found.places])
