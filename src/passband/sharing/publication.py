"""Publishes a network: a folder with its weights, its description, its test images and its card."""

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from passband import extras
from passband.errors import ArgumentError
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.learning import network_folder
from passband.learning.network_files import Network
from passband.micrographs.models import published_network
from passband.micrographs.trust.trust import Trust
from passband.outcomes import Outcome
from passband.results import Results, published
from passband.seeds import seed
from passband.sharing import (
    bioimageio_description,
    card,
    further_outputs,
    onnx_export,
    performance,
)
from passband.sharing.attribution import Labels
from passband.sharing.performance import Performance
from passband.storage import StoreError, atomic, checked_json, integrity, json_text
from passband.version import __version__
from passband.wave_sets import wave_set

#: The names of the files in a published folder, besides those of :mod:`passband.results.published`.
PERFORMANCE, PICTURE = "performance.csv", "performance.png"
TEST_INPUT = "test_input.npy"
#: The files with the outputs for this input, by their names in the ONNX file.
TEST_OUTPUTS = {
    onnx_export.OUTPUT: "test_output.npy",
    onnx_export.FURTHER: "test_particles.npy",
    onnx_export.MEANS: "test_means.npy",
}


@dataclass(frozen=True)
class Published(Outcome):
    """A network that was published.

    Attributes:
        network: Its id.
        license: The SPDX id of the license.
    """

    folder: Path
    network: str
    license: str

    @property
    def card(self) -> Path:
        """The page that describes the network."""
        return self.folder / published.CARD

    def __str__(self) -> str:
        return (
            f"{self.network} is published in {self.folder}, under the license {self.license}.\n"
            f"Read {self.card} first."
        )


def check_target(folder: Path, force: bool) -> None:
    """Check that a folder can be published here.

    Args:
        folder: The folder to write.
        force: Whether a folder of an earlier publication may be replaced.

    Raises:
        PassbandError: If something other than a published folder exists, or if a published folder
            exists and `force` is false.
    """
    if not folder.exists() and not folder.is_symlink():
        return
    files = published.WEIGHTS, published.DESCRIPTION
    if not all((folder / name).is_file() for name in files) or folder.is_symlink():
        raise ArgumentError(
            f"out = {str(folder)!r}: exists and is no published folder; give another name"
        )
    if not force:
        raise ArgumentError(
            f"out = {str(folder)!r}: exists; give another name, or replace it with force",
            "out",
            "force",
        )


def publish(
    network: Network,
    results: Results | None,
    folder: Path,
    labels: Labels,
    force: bool = False,
    expected: Callable[[Sequence[Condition]], np.ndarray] | None = None,
    report: Callable[[str], object] = lambda line: None,
    trust: Callable[[], Trust | None] = lambda: None,
    limits: str = "",
) -> Published:
    """Write a published folder, completely or not at all.

    Args:
        results: The network's study, with the measured performance and the exit waves.
        labels: The name, license and authors, which were checked, see
            :func:`passband.sharing.attribution.check`.
        force: Whether a folder of an earlier publication is replaced.
        expected: See :class:`passband.sharing.performance.Performance`.
        report: Receives a line for each step that takes seconds.
        trust: Returns what `passband predict` needs to compare an image with the training images,
            or None.
        limits: Where a network of the package holds, in one line.

    Raises:
        PassbandError: If packages are missing, the folder exists, the network cannot be exported,
            or the disk is full.
    """
    extras.check(extras.SHARE, "publish")
    check_target(folder, force)
    tested = Performance(network, results, expected)
    measured = tested.measured  # a damaged table is named before anything is written
    further = further_outputs.of_architecture(network.architecture)
    has_head = further is not None
    has_means = hasattr(network.module, "encoder")
    with atomic.replacing(folder) as beside:
        beside.mkdir()
        attachments = network_folder.write(network, beside)
        image, example = _example_image(network, results)
        np.save(beside / TEST_INPUT, image.numpy())
        outputs = onnx_export.Outputs(network.module, has_head, has_means).of(image)
        for output, values in outputs.items():
            np.save(beside / TEST_OUTPUTS[output], values)
        if measured is not None:
            attachments += _write_performance(tested, beside)
        if (known := trust()) is not None:
            checked_json.write(beside / published.LIKENESS, known.to_values())
            attachments.append(published.LIKENESS)
        report("writing the ONNX file")
        shape = network.divisor, network.smallest_px
        opset = onnx_export.export(
            network.module,
            *shape,
            path=beside / published.ONNX,
            metadata=_onnx_metadata(network, labels),
            has_head=has_head,
            has_means=has_means,
        )
        report("comparing the ONNX file's outputs with torch's")
        differences, sizes = onnx_export.largest_differences(
            network.module,
            *shape,
            path=beside / published.ONNX,
            has_head=has_head,
            has_means=has_means,
        )
        if has_means and (network.head is None or not network.head.is_own):
            published_network.write(network, beside, limits)
            attachments.append(published.NETWORK)
        facts = card.Facts(
            name=labels.name,
            license=labels.license,
            authors=labels.authors,
            configuration=json_text.parse(network.metadata.provenance["configuration"]),
            network_seed=seed(network.study.study.seed, *astuple(network.id)),
            measured=measured,
            measured_in=tested.source,
            expected=tested.between(),
            picture=PICTURE if PICTURE in attachments else None,
            example=example,
            further=further,
            differences=differences,
            sizes=sizes,
            versions={
                "Passband": __version__,
                **{name: version(name) for name in ("torch", "onnx", "onnxscript")},
                "ONNX operators": str(opset),
            },
        )
        (beside / published.CARD).write_text(card.render(network, facts), encoding="utf-8")
        description = bioimageio_description.describe(
            network,
            beside,
            labels,
            opset=opset,
            documentation=published.CARD,
            attachments=attachments,
            further=further,
            means=outputs[onnx_export.MEANS].shape[1] if has_means else 0,
        )
        bioimageio_description.write(description, beside)
        files = [file for file in beside.rglob("*") if file.is_file()]
        integrity.write_checksums(beside, files)
    return Published(folder, str(network.id), labels.license)


def _example_image(network: Network, results: Results | None) -> tuple[Tensor, str]:
    """Return a normalised image of the network's training condition, and its description.

    If the study's exit waves exist, the image is the image of the first test structure. Otherwise
    the image is Poisson noise of vacuum.

    Returns:
        (1, 1, px, px) float32: the image, as large as a training image.
        What the image shows.
    """
    cpu = torch.device("cpu")
    acquisition = Acquisition.from_microscope(network.microscope, network.normalisation, cpu)
    specimen, study_seed = network.metadata.specimen, network.study.study.seed
    if results is not None:
        waves = wave_set(network.condition)
        structures = results.structures(specimen, "test", [waves], first=1)
        try:
            split = structures.load(cpu).under(network.condition).first(1)
        except StoreError:
            pass  # the exit waves are deleted after a study, or the study has not made them here
        else:
            images = acquisition.images(split, network.condition)
            return images.contiguous(), f"a simulated image of {specimen}, test structure 0"
    vacuum = torch.ones(1, network.microscope.field_px, network.microscope.field_px)
    number = seed(study_seed, specimen, "test", network.condition.id, "published")
    counts = acquisition.exposed(vacuum, network.condition, [number])
    noise = acquisition.normalised(counts, network.condition)[:, None]
    return noise, "Poisson noise of vacuum, because the study's exit waves were not at hand"


def _write_performance(tested: Performance, folder: Path) -> list[str]:
    """Write the measured performance, its picture and the study's table, and return their names.

    The picture needs tests on the training specimen with the network's own values of further axes.
    The table needs a finished study.
    """
    table = performance.to_table(tested.measured)
    table.to_csv(folder / PERFORMANCE, index=False, float_format="%.6g")
    written = [PERFORMANCE]
    if tested.alike is not None:
        from passband.figures import style
        from passband.sharing.performance_figure import dice_over_defocus_and_dose

        figure = dice_over_defocus_and_dose(tested.alike, tested.network.condition)
        style.save(figure, [folder / PICTURE], dpi=150)
        written.append(PICTURE)
    if tested.write_table(folder / published.TABLE):
        written.append(published.TABLE)
    return written


def _onnx_metadata(network: Network, labels: Labels) -> dict[str, str]:
    return {
        "name": labels.name,
        "license": labels.license,
        "network": str(network.id),
        "normalisation": network.normalisation,
        "pixel_size_A": f"{network.pixel_size_A:g}",
        "passband_version": __version__,
    }
