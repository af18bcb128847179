"""Which networks segment each image file: those that are named, or the recommended one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from passband.answers.assessors import Assessors
from passband.axes import BEHIND_WAVE, FURTHER_AXES, MAIN_AXES
from passband.errors import ArgumentError
from passband.grid import Axes, Condition
from passband.micrographs.batch import Task, failure
from passband.micrographs.images.settings import Settings
from passband.micrographs.models.network import Network
from passband.micrographs.predictions import UNASSESSED, Predictor, output_names
from passband.network_id import NetworkId

if TYPE_CHECKING:
    from passband.answers.tested_networks import TestedNetworks
    from passband.micrographs.rings.lens import Known

#: A function that receives what is said while files are prepared, line by line.
Report = Callable[[str], object]


@dataclass(frozen=True)
class Choice:
    """The networks that segment a file.

    Attributes:
        expected: The Dice that the study's model expects of them under the file's own condition.
    """

    networks: Sequence[Network]
    expected: Mapping[NetworkId, float] | None = None


def condition_of(given: Mapping[str, float]) -> Condition | None:
    """Return the condition of all images, or None if its defocus is not given.

    Raises:
        ArgumentError: If a value is missing or wrong, or has no effect without the defocus.
    """
    for name, value in given.items():
        if name not in BEHIND_WAVE:
            raise ArgumentError(f"{name} = {value:g}: has an effect only with the network 'auto'")
    if "defocus_nm" not in given:
        for name in ("cs_um", "aperture_mrad", *FURTHER_AXES):
            if name in given:
                raise ArgumentError(
                    f"{name} = {given[name]:g}: has an effect only together with defocus_nm or the "
                    "network 'auto'",
                    name,
                    "defocus_nm",
                )
        return None
    for name in MAIN_AXES:
        if name not in given:
            raise ArgumentError(
                f"{name} is missing: the expected Dice by the transfer function needs all of "
                "defocus, Cs, aperture and dose"
            )
    for name, value in given.items():
        try:
            BEHIND_WAVE[name].within(value, f"{name} = {value:g}")
        except ValueError as error:
            raise ArgumentError(str(error)) from None
    return Axes.main.condition(given)


def known(given: Mapping[str, float], amplitude_contrast: float | None, sign: int) -> "Known":
    """Return what is known of the lens of images whose condition is measured."""
    from passband.micrographs.rings.lens import Known  # scipy.interpolate takes long to import

    found = Known(
        energy_keV=given.get("energy_kev"),
        cs_um=given.get("cs_um"),
        aperture_mrad=given.get("aperture_mrad"),
        amplitude_contrast=amplitude_contrast,
        sign=sign,
    )
    found.check()
    return found


def recommended(
    tested: "TestedNetworks",
    paths: Sequence[Path],
    known: "Known",
    *,
    given: Mapping[str, float],
    pixel_size_A: float | None,
    report: Report,
) -> dict[Path, Choice | str]:
    """Return the network that the study recommends for each image, and report why.

    Each image is measured alone. A study's store of images is not measured, since it states its
    condition. An image whose condition cannot be measured, or that no network fits, has a line that
    says so.

    Args:
        given: What is known of the condition of all images, by the names of axes.
    """
    # torch and the models take seconds to import.
    from passband.answers import image_recommendation
    from passband.learning.network_files import open_networks
    from passband.prediction.recommend import network_ranking

    words = {name: f"{value:.10g}" for name, value in given.items() if name != "energy_kev"}
    found: dict[Path, Choice | str] = {}
    for path in paths:
        try:
            ranked = image_recommendation.of_store(tested, path, words)
            lines = [f"{path.name}: states {ranked[0].found.asked.words}"] if ranked else []
            if not ranked:
                lens = image_recommendation.measure(path, pixel_size_A, known, tested.study)
                lines = lens.lines()
                without_cs = {name: text for name, text in words.items() if name != "cs_um"}
                ranked = image_recommendation.recommend(tested, lens, without_cs)
            id, expected = image_recommendation.best(ranked)
            found[path] = Choice(open_networks(tested.results, id), {id: expected})
        except Exception as error:  # the other files are still segmented
            found[path] = failure(path, error)
            continue
        lines.append(f"  recommended: {id}, expected Dice {expected:.3f}")
        lines += [f"  {line}" for line in network_ranking.beyond_doses(ranked[0].found)]
        for line in lines:
            report(line)
    return found


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
