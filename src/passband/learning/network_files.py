"""Trained networks that are opened from a weights file, a published folder or a study's results."""

import shlex
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError
from torch import nn

from passband.config import Microscope, Study, architectures, validate_stored
from passband.config.architectures import Architecture
from passband.config.detector import DetectorNoise
from passband.config.drawn import highest
from passband.errors import PassbandError
from passband.grid import Condition
from passband.groups import may_have
from passband.learning import devices, networks
from passband.learning.torch_model import TorchModel
from passband.mixtures import Mixture, is_mixture
from passband.network_id import NetworkId
from passband.parts import STORED, Part, Parts
from passband.results import Results, layout, locate, published
from passband.storage import DamagedError, checked_json, json_text
from passband.storage.weights import CellWeights, WeightsMetadata, conditions_in, load_cells


@dataclass(frozen=True)
class Network:
    """A trained network and its origin.

    Attributes:
        module: The network, on the CPU, in evaluation mode: (N, 1, H, W) normalised images to
            logits.
        microscope: The microscope of the study in which the network was trained, with the values of
            the network's training condition.
        condition: The training condition, or the mixture of training conditions.
        parts: The parts that its study knows.
    """

    module: nn.Module
    replica: int
    metadata: WeightsMetadata
    microscope: Microscope
    condition: Condition | Mixture
    path: Path
    parts: Parts = STORED

    @property
    def architecture(self) -> Architecture:
        """The network's architecture."""
        return architectures.parse(self.metadata.architecture, self.parts)

    @property
    def id(self) -> NetworkId:
        """The network's id in its study."""
        of = self.metadata
        return NetworkId(of.specimen, of.architecture, of.condition, self.replica)

    @property
    def is_published(self) -> bool:
        """Whether the weights file is in a published folder."""
        return self.path.name == published.WEIGHTS

    @cached_property
    def study(self) -> Study:
        """The study in the metadata.

        Raises:
            ConfigError, PassbandError: If there is none, or if this version of Passband does not
                allow it.
        """
        try:
            configuration = json_text.parse(self.metadata.provenance["configuration"])
        except (KeyError, ValueError) as error:
            raise PassbandError(f"{self.path}: its metadata have no study: {error}") from None
        return validate_stored(configuration, f"{self.path}, metadata", self.parts)

    @cached_property
    def results(self) -> Results | None:
        """The results of the network's study, if the weights file is in them."""
        metadata, path = self.metadata, self.path.absolute()
        if len(path.parents) < 5 or not may_have(path.parent.name, metadata.condition):
            return None
        own = {"specimen": metadata.specimen, "architecture": metadata.architecture}
        folder = path.parents[4]
        batch = layout.wildcards_of(path) | own
        same = path == folder / layout.WEIGHTS.format_map(batch)
        return Results(self.study, folder) if same else None

    @property
    def limits(self) -> str:
        """Where a network of the package holds, in one line; empty for other networks."""
        if not published.is_shipped(self.path):
            return ""
        return checked_json.read(self.path.with_name(published.NETWORK))["limits"]

    @property
    def unmeasured(self) -> str:
        """Why images are not assessed without a file about the training images."""
        if isinstance(self.condition, Mixture):
            return f"{self.id} is a network of a mixture of conditions"
        if self.results is None:
            return f"{self.path} is not in the results of a study"
        command = ["passband", "publish", str(self.results.folder), "--network", str(self.id)]
        return (
            "the network has not been compared with its training images; publish it, and predict "
            f"with the folder: {shlex.join(command)}"
        )

    @property
    def unchecked(self) -> str:
        """See :func:`passband.results.published.unchecked`; empty if it is not published."""
        return published.unchecked(self.path.parent) if self.is_published else ""

    @property
    def pixel_size_A(self) -> float:
        """Side of a pixel of the training images [Å]."""
        return self.microscope.pixel_size_A

    @property
    def finest_A(self) -> float:
        """Side of the pixels that show the finest detail that all training images have [Å]."""
        return max(self.pixel_size_A, highest(self.noise.stored_pixel_A))

    @property
    def field_px(self) -> int:
        """Pixels along a side of a field of the study."""
        return self.microscope.field_px

    @property
    def noise(self) -> DetectorNoise:
        """The filter of the training images' counts."""
        return self.microscope.detector.noise

    @property
    def head(self) -> Part | None:
        """What finds single particles in further outputs, if there is anything."""
        return self.architecture.head

    @property
    def outputs(self) -> int:
        """The number of outputs, with that of the mask."""
        return self.architecture.outputs

    @property
    def normalisation(self) -> str:
        """Normalisation of the training images, see :func:`passband.imaging.noise.normalise`."""
        return self.metadata.normalisation

    def model(self, precision: str = "float32") -> TorchModel:
        """Return the network as what looks at images gets it, on this machine's fastest device."""
        device = devices.device()
        precision = devices.precision(precision, device)
        module = devices.ready(self.module, precision, device)
        return TorchModel(module, self.architecture, precision, device)

    def share(self, jobs: int) -> None:
        """See :func:`passband.learning.devices.share`."""
        devices.share(jobs)

    @property
    def divisor(self) -> int:
        """The sides of the network's input are multiples of this number of pixels."""
        return self.architecture.divisor

    @property
    def smallest_px(self) -> int:
        """The smallest side of the network's input [pixels]."""
        return self.architecture.smallest_px


def open_networks(source: str | Path | Results, network: NetworkId | None = None) -> list[Network]:
    """Return the networks in a weights file, a published folder, or a study's folder of results.

    Args:
        source: A weights file, a folder with the file ``weights.safetensors``, a study's results or
            their folder, or the name of a network of the package, see `published.shipped`.
            If several files of a study have the same network, that of a present batch is returned,
            and otherwise that of the newest file.
        network: The network. If it has no replica, all replicas are returned. For a study's folder
            of results with several training conditions, it is necessary.

    Returns:
        The networks, sorted by replica. There is one network or more.

    Raises:
        PassbandError: If there is no such network, if a file is damaged, or if the architecture is
            a part that is missing or must not run. The message is one line. The files of a
            published folder are checked, see
            :func:`passband.storage.integrity.check_checksums`.
    """
    results = source if isinstance(source, Results) else None
    if results is not None and not results.is_published:
        return _from_study(results, network)
    source = results.folder if results else Path(source)
    if not source.exists():
        source = published.shipped().get(str(source), source)
    if source.is_dir() and not (source / published.WEIGHTS).is_file():
        return _from_study(Results(None, source), network)
    path = source / published.WEIGHTS if source.is_dir() else source
    if not path.is_file():
        raise PassbandError(
            f"{source}: there is no such file or folder; "
            f"{locate.meant(str(source))}give a weights file (.safetensors), a "
            f"published folder, {''.join(f'{name!r}, ' for name in published.shipped())}or a study "
            "and the id of a network"
        )
    if path.name == published.WEIGHTS:
        published.check(path.parent)
        results = results or Results(None, path.parent)
    found = _from_file(path, results)
    if network is None:
        return found
    chosen = [each for each in found if network in (each.id, each.id.cell)]
    if not chosen:
        every = ", ".join(str(each.id) for each in found)
        raise PassbandError(f"network = {str(network)!r}: {source} has only {every}")
    return chosen


def finished_networks(results: Results) -> list[NetworkId]:
    """Return all networks in a study's results, without replica, sorted.

    Only files with several training conditions are opened, and only their heads are read.
    """
    folder = results.path(layout.NETWORKS)
    found: set[NetworkId] = set()
    for file in folder.glob("*/*/*/*.safetensors"):
        specimen, architecture, group = file.parent.relative_to(folder).parts
        found |= {NetworkId(specimen, architecture, id) for id in conditions_in(file, group)}
    return sorted(found, key=str)


def _from_study(results: Results, network: NetworkId | None) -> list[Network]:
    known = finished_networks(results)
    if not known:
        raise PassbandError(f"{results}: has no finished network; run the study first")
    example = replace(known[0], replica=0)
    if network is None and len(known) == 1:
        network = known[0]
    if network is None:
        raise PassbandError(
            f"{results}: has networks of {len(known)} training conditions; give the id of a "
            f"network, such as {example}"
        )
    of_architecture = results.path(layout.NETWORKS) / network.specimen / network.architecture
    paths = [
        path
        for folder in sorted(of_architecture.glob("*"))
        if may_have(folder.name, network.condition)
        for path in sorted(folder.glob("*.safetensors"))
        if network.condition in conditions_in(path, folder.name)
    ]
    # If jobs have been given other replicas or conditions, several files have the same network. The
    # time of a file is that of its training, also if a later job has linked the file.
    if len(paths) > 1:  # finding the study's present batches takes a second
        paths.sort(key=lambda path: (path in results.present, path.stat().st_mtime))
    every = (each for path in paths for each in _from_file(path, results))
    last = {n.replica: n for n in every if n.metadata.condition == network.condition}
    found = list(last.values())
    chosen = [each for each in found if network.replica in (None, each.replica)]
    if not chosen:
        has = f"only the replicas {', '.join(map(str, sorted(last)))}" if found else "none"
        raise PassbandError(
            f"network = {str(network)!r}: {results} has {has} of this specimen, architecture and "
            f"condition; an existing network is {found[0].id if found else example}"
        )
    return sorted(chosen, key=lambda each: each.replica)


def _parts_of(results: Results | None, architecture: str) -> Parts:
    """Return the parts that a study knows. It is only looked for if the package lacks one."""
    try:
        architectures.parse(architecture)
    except ValueError:
        with suppress(PassbandError):
            return results.study.known_parts.as_stored() if results else STORED
    return STORED


def _trained_under(id: str, configuration: dict) -> Condition | Mixture:
    """Return the condition or the mixture of a network's training, from its study's content."""
    if is_mixture(id):
        return validate_stored(configuration).trained_under(id)
    return Condition.parse(id)


def _from_file(path: Path, results: Results | None) -> list[Network]:
    """Return all networks of a weights file, which may be one of a study."""
    try:
        cells = load_cells(path, "pt")
        known = _parts_of(results, next(iter(cells.values())).metadata.architecture)
        for cell in cells.values():
            networks.check_shapes(path, cell.weights, cell.metadata, known)
    except DamagedError as error:
        # The advice to delete the file is not repeated: the file may be of another program.
        raise PassbandError(f"{error.what}; give a weights file of a study") from None
    return [network for cell in cells.values() for network in _from_cell(path, cell, known)]


def _from_cell(path: Path, cell: CellWeights, known: Parts) -> list[Network]:
    """Return the networks of one training condition in a weights file."""
    weights = cell.weights
    metadata = cell.metadata
    try:
        configuration = json_text.parse(metadata.provenance["configuration"])
        context = {"parts": known}
        microscope = Microscope.model_validate(configuration["microscope"], context=context)
        condition = _trained_under(metadata.condition, configuration)
    except (KeyError, TypeError) as error:
        raise PassbandError(f"{path}: its metadata have no {error}; train it again") from None
    except ValidationError as error:
        reason = error.errors(include_url=False)[0]
        raise PassbandError(
            f"{path}: microscope.{'.'.join(map(str, reason['loc']))} in its metadata: "
            f"{reason['msg']}"
        ) from None
    except ValueError as error:
        raise PassbandError(f"{path}: its metadata are wrong: {error}") from None
    architecture = architectures.parse(metadata.architecture, known)
    return [
        Network(
            networks.restore(architecture, state),
            replica,
            metadata,
            microscope if isinstance(condition, Mixture) else microscope.under(condition),
            condition,
            path,
            known,
        )
        for replica, state in weights.items()
    ]
