"""What is known about images that networks have not seen is read from files beside them."""

from collections.abc import Sequence
from pathlib import Path

from passband.errors import PassbandError
from passband.micrographs.models.network import Network
from passband.micrographs.trust.trust import Trust
from passband.network_id import NetworkId
from passband.results import published
from passband.storage import StoreError, checked_json


def by_condition(networks: Sequence[Network]) -> list[list[Network]]:
    """Return the networks of each training condition, specimen and architecture, by replica."""
    groups: dict[tuple[Path, NetworkId], list[Network]] = {}
    for network in networks:
        folder = network.path.parent
        groups.setdefault((folder, network.id.cell), []).append(network)
    return [sorted(each, key=lambda network: network.id.replica) for each in groups.values()]


def trust_file(network: Network) -> Path:
    """Return the path of the file that a network has beside its weights, if it is published.

    The file is ``likeness.json`` in a published folder. Beside any other weights file, such as
    ``general.safetensors``, it is ``general.likeness.json``.
    """
    path = network.path
    name = published.LIKENESS if network.is_published else f"{path.stem}.{published.LIKENESS}"
    return path.with_name(name)


def open_trust(networks: Sequence[Network]) -> Trust:
    """Return what is needed to assess images of networks of one training condition.

    Raises:
        PassbandError: If the networks were not compared with their training images, or if the file
            is damaged. The message has one line.
    """
    path = trust_file(networks[0])
    if not path.exists():
        raise PassbandError(networks[0].unmeasured)
    try:
        trust = Trust.from_values(checked_json.read(path))
    except StoreError:
        raise
    except (PassbandError, ValueError, KeyError, TypeError, OSError) as error:
        raise PassbandError(f"{path}: is damaged: {error}") from None
    if trust.networks != tuple(network.id for network in networks):
        raise PassbandError(f"{path}: is of {', '.join(map(str, trust.networks))}")
    return trust
