"""Which networks segment each image file, and what is said about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from passband.errors import ArgumentError
from passband.micrographs.assessors import Assessors
from passband.micrographs.batch import Task
from passband.micrographs.images.settings import Settings
from passband.micrographs.models.network import Network
from passband.micrographs.predictions import UNASSESSED, Predictor, output_names
from passband.network_id import NetworkId


@dataclass(frozen=True)
class Choice:
    """The networks that segment a file.

    Attributes:
        expected: The Dice that the study's model expects of them under the file's own condition.
    """

    networks: Sequence[Network]
    expected: Mapping[NetworkId, float] | None = None


def tasks(
    chosen: Mapping[Path, Choice | str],
    settings: Settings,
    assessors: Assessors | None,
    *,
    folder: Path | None = None,
    pixel_size_A: float | None = None,
    masks: Path | None = None,
) -> list[Task]:
    """Return what is done with each file.

    The networks, and what is known of their training images, are read now.

    Args:
        chosen: The networks of each file, or the line that says why it has none.
        assessors: Opens what assesses the images; None if they are not assessed.
        folder: The folder of the output files, if any are written.
        masks: A folder of true masks.
    """
    networks = networks_of(chosen)
    settings.check(networks)
    white = all(network.noise.is_white for network in networks)
    if settings.filter_noise and networks and white:
        raise ArgumentError(
            "filter_noise: has no effect, since the noise of the training images is white"
        )
    # Names matter only for output files.
    names = output_names([*chosen]) if folder else [path.name for path in chosen]
    found: list[Task] = []
    predictors: dict[tuple, Predictor] = {}
    for (path, own), name in zip(chosen.items(), names, strict=True):
        if isinstance(own, str):
            found.append(Task(path, name, own))
            continue
        key = (*((each.path, each.id) for each in own.networks), str(own.expected))
        if key not in predictors:
            predictors[key] = Predictor(
                networks=own.networks,
                settings=settings,
                folder=folder,
                pixel_size_A=pixel_size_A,
                masks=masks,
                assessor=assessors.of(own.networks, own.expected) if assessors else UNASSESSED,
            )
        found.append(Task(path, name, predictors[key]))
    return found


def networks_of(chosen: Mapping[Path, Choice | str]) -> list[Network]:
    """Return the networks of all files."""
    every = [each for own in chosen.values() if isinstance(own, Choice) for each in own.networks]
    return list({(network.path, network.id): network for network in every}.values())


def of_replicas(networks: Sequence[Network], replicas: Sequence[int] | None) -> list[Network]:
    """Return the networks with some numbers of replicas, or all."""
    if replicas is None:
        return list(networks)
    known = sorted({network.id.replica for network in networks})
    if not replicas or not {*replicas} <= {*known}:
        given = ",".join(map(str, replicas))
        raise ArgumentError(
            f"replicas = {given!r}: must be numbers out of {','.join(map(str, known))}"
        )
    return [network for network in networks if network.id.replica in replicas]


def remarks(chosen: Mapping[Path, Choice | str], assessors: Assessors | None) -> list[str]:
    """Return what the user should know about networks, and about their comparison with images."""
    said = [network.unchecked for network in networks_of(chosen)]
    said += [] if assessors is None else assessors.notes
    return list(dict.fromkeys(filter(None, said)))


def described(chosen: Mapping[Path, Choice | str], settings: Settings) -> list[str]:
    """Return what developers want to know before the results."""
    networks = networks_of(chosen)
    if not networks:
        return []
    lines: list[str] = []
    for network in {network.id: network for network in networks}.values():
        lines.append(f"network {network.id}, pixels of {network.pixel_size_A:g} Å")
        if network.limits:
            lines.append(f"  {network.limits}")
    kinds = " and ".join(dict.fromkeys(network.normalisation for network in networks))
    lines.append(f"preparation: {settings.words(kinds)}")
    choices = [own.networks for own in chosen.values() if isinstance(own, Choice)]
    heads = dict.fromkeys(part.name for part in map(settings.head, choices) if part)
    lines += [f"particles: those of the head {head}" for head in heads]
    if all(len(own.networks) == 1 for own in chosen.values() if isinstance(own, Choice)):
        lines.append("one network: there is no map of the disagreement between networks")
    return lines
