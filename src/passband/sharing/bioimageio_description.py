"""The description of a published network in the format of BioImage.IO, version 0.5."""

import gc
import hashlib
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from passband.errors import PassbandError
from passband.learning.network_files import Network
from passband.results import published
from passband.sharing.attribution import Labels
from passband.sharing.further_outputs import FurtherOutputs
from passband.sharing.onnx_export import FURTHER, INPUT, MEANS, OUTPUT
from passband.version import __version__

#: Version of the format. Newer versions of bioimageio.spec read it too.
_FORMAT_VERSION = "0.5.4"
#: Added to the divisor of a normalisation, so that an image of one value is not divided by 0.
_EPS = 1e-12


def preprocessing(normalisation: str) -> list[dict[str, Any]]:
    """Return the steps of BioImage.IO from counts to the network's input.

    ``zscore`` divides by the standard deviation with N − 1 pixels, and BioImage.IO by the standard
    deviation with N pixels. Their ratio is 1 − 1/(2N), which is 1 − 3·10⁻⁵ for 128 × 128 pixels.
    ``vacuum`` has no step: it needs the number of electrons in a vacuum pixel of each image.
    """
    each = {"axes": ["channel", "y", "x"], "eps": _EPS}
    if normalisation == "zscore":
        return [{"id": "zero_mean_unit_variance", "kwargs": each}]
    if normalisation == "minmax":
        percentiles = {"min_percentile": 0.0, "max_percentile": 100.0}
        return [{"id": "scale_range", "kwargs": each | percentiles}]
    return []


def describe(
    network: Network,
    folder: Path,
    labels: Labels,
    opset: int,
    documentation: str,
    attachments: Sequence[str],
    further: FurtherOutputs | None = None,
    means: int = 0,
) -> dict[str, Any]:
    """Return the description of the files in a folder.

    Args:
        folder: A folder with all other files of the publication.
        opset: The version of the ONNX file's set of operators.
        attachments: Names of the files that BioImage.IO's programs do not need.
        further: The outputs of a network with a head besides the mask.
        means: The number of features whose means are an output.
    """

    def file(name: str) -> dict[str, str]:
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        return {"source": name, "sha256": digest}

    scale = {"scale": network.pixel_size_A, "unit": "angstrom"}
    size = {"min": network.smallest_px, "step": network.divisor}
    sides = [{"type": "space", "id": side, "size": size, **scale} for side in ("y", "x")]
    same = [
        {"type": "space", "id": side, "size": {"tensor_id": INPUT, "axis_id": side}, **scale}
        for side in ("y", "x")
    ]
    channel = {"type": "channel", "id": "channel"}
    others = []
    if further is not None:
        others = [
            {
                "id": FURTHER,
                "description": f"What the head {further.head} reads, see {documentation}.",
                "axes": [
                    {"type": "batch"},
                    channel | {"channel_names": list(further.channels)},
                    *same,
                ],
                "data": {"type": "float32", "range": [None, None]},
                "test_tensor": file("test_particles.npy"),
            }
        ]
    if means:
        names = [f"feature_{k}" for k in range(means)]
        others.append(
            {
                "id": MEANS,
                "description": (
                    "Means of the encoder's features over the pixels, which Passband compares with "
                    "those of the training images."
                ),
                "axes": [{"type": "batch"}, channel | {"channel_names": names}],
                "data": {"type": "float32", "range": [None, None]},
                "test_tensor": file("test_means.npy"),
            }
        )
    condition = network.condition
    return {
        "type": "model",
        "format_version": _FORMAT_VERSION,
        "name": labels.name,
        "description": (
            "Segments particles in HRTEM images. Trained by Passband on simulated images of "
            f"{network.metadata.specimen} at a defocus of {condition.defocus_nm:g} nm, Cs of "
            f"{condition.cs_um:g} um, an aperture of {condition.aperture_mrad:g} mrad and "
            f"{condition.dose_e_per_A2:g} electrons per square angstrom."
        ),
        "documentation": documentation,
        "license": labels.license,
        **({"authors": [{"name": name} for name in labels.authors]} if labels.authors else {}),
        "tags": ["HRTEM", "electron microscopy", "segmentation", "nanoparticles", "2d", "pytorch"],
        "timestamp": network.metadata.provenance.get("created", "1970-01-01T00:00:00+00:00"),
        "inputs": [
            {
                "id": INPUT,
                "description": (
                    f"An image with pixels of {network.pixel_size_A:g} angstrom, prepared by the "
                    f"steps in {documentation}: these have more than its normalisation by "
                    f"{network.normalisation}."
                ),
                "axes": [{"type": "batch"}, channel | {"channel_names": ["counts"]}, *sides],
                "data": {"type": "float32", "range": [None, None]},
                "preprocessing": preprocessing(network.normalisation),
                "test_tensor": file("test_input.npy"),
            }
        ],
        "outputs": [
            {
                "id": OUTPUT,
                "description": "The probability that a pixel is in a particle.",
                "axes": [{"type": "batch"}, channel | {"channel_names": ["particle"]}, *same],
                "data": {"type": "float32", "range": [0.0, 1.0]},
                "test_tensor": file("test_output.npy"),
            },
            *others,
        ],
        "weights": {"onnx": {**file("model.onnx"), "opset_version": opset}},
        "attachments": [file(name) for name in attachments],
        "config": {
            "passband": {
                "version": __version__,
                "network": str(network.id),
                "condition": network.metadata.condition,
                "specimen": network.metadata.specimen,
                "architecture": network.metadata.architecture,
                "normalisation": network.normalisation,
                "pixel_size_A": network.pixel_size_A,
                "preparation": published.PREPARATION,
            }
        },
    }


class _Dumper(yaml.SafeDumper):
    """Writes equal parts in full, because references make a file hard to read."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def write(description: Mapping[str, Any], folder: Path) -> None:
    """Write the description to a folder with all other files, and check it without a network.

    Raises:
        PassbandError: If bioimageio.spec finds the description wrong. The message has its first
            objection.
    """
    from bioimageio.spec import ValidationContext, load_description_and_validate_format_only

    text = yaml.dump(dict(description), Dumper=_Dumper, sort_keys=False, width=100)
    (folder / published.DESCRIPTION).write_text(text, encoding="utf-8")
    context = ValidationContext(perform_io_checks=True, log_warnings=False, progressbar=False)
    with warnings.catch_warnings(), context:
        # bioimageio.spec does not close the files that it reads. Python closes them here.
        warnings.simplefilter("ignore", ResourceWarning)
        summary = load_description_and_validate_format_only(folder / published.DESCRIPTION)
        gc.collect()
    errors = [error for detail in summary.details for error in detail.errors]
    if errors or summary.status == "failed":
        place, words = (
            (".".join(map(str, errors[0].loc)), errors[0].msg) if errors else ("", summary.status)
        )
        raise PassbandError(
            f"{published.DESCRIPTION}: bioimageio.spec refuses {place}: {' '.join(words.split())}"
        )
