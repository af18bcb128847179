"""A network as an ONNX file, which other programs run without Passband and without torch."""

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

from passband.errors import PassbandError
from passband.learning.networks import encoded
from passband.micrographs.models.onnx_model import FURTHER, INPUT, MEANS, PROBABILITY

#: The name of the mask in the ONNX file.
OUTPUT = PROBABILITY
#: Largest allowed difference between an output of the ONNX file and of torch. Further outputs and
#: means of features have no limits, as a probability has.
TOLERANCES = {OUTPUT: 1e-4, FURTHER: 1e-3, MEANS: 1e-3}
#: What is said of each.
_WORDS = {OUTPUT: "probabilities", FURTHER: "outputs for particles", MEANS: "means of features"}


class Outputs(nn.Module):
    """A network from images (N, 1, H, W) to the probability that a pixel is in a particle.

    With a head, the further outputs (N, outputs, H, W) follow; and if they are asked for, the means
    (N, channels) of the encoder's features over the pixels, which likeness needs.
    """

    def __init__(self, network: nn.Module, has_head: bool = False, has_means: bool = False):
        super().__init__()
        self.network = network
        self.names = [OUTPUT, *[FURTHER] * has_head, *[MEANS] * has_means]

    def forward(self, image: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        logits = self.network(image)
        found = [torch.sigmoid(logits[:, :1])]
        if FURTHER in self.names:
            found.append(logits[:, 1:])
        if MEANS in self.names:
            maps = encoded(self.network, image)
            found.append(torch.cat([each.mean((2, 3)) for each in maps], 1))
        return found[0] if len(found) == 1 else tuple(found)

    @torch.inference_mode()
    def of(self, image: torch.Tensor) -> dict[str, np.ndarray]:
        """Return the outputs of images by their names in the ONNX file."""
        found = self(image)
        each = found if isinstance(found, tuple) else (found,)
        return {name: x.numpy() for name, x in zip(self.names, each, strict=True)}


def export(
    network: nn.Module,
    divisor: int,
    smallest_px: int,
    path: str | Path,
    metadata: Mapping[str, str] | None = None,
    has_head: bool = False,
    has_means: bool = False,
) -> int:
    """Write a network as an ONNX file for images of any allowed size; return its operator set.

    Args:
        network: The network, on the CPU, in evaluation mode: (N, 1, H, W) normalised images to
            logits.
        divisor, smallest_px: The sides of an image are multiples of `divisor`, and at least
            `smallest_px` [pixels].
        metadata: Names and values that are written into the file.
        has_head: Whether the file has the further outputs of the network, too.
        has_means: Whether it has the means of the encoder's features.

    Raises:
        PassbandError: If torch cannot export the network.
    """
    import onnx

    batch, height, width = (torch.export.Dim(name) for name in ("batch", "height", "width"))
    first, second, *_ = _sides(divisor, smallest_px)
    shapes = ({0: batch, 2: divisor * height, 3: divisor * width},)
    outputs = Outputs(network, has_head, has_means).eval()
    try:
        with _quiet():
            program = torch.onnx.export(
                outputs,
                (torch.zeros(2, 1, first, second),),
                dynamo=True,
                input_names=[INPUT],
                output_names=outputs.names,
                dynamic_shapes=shapes,
                verbose=False,
            )
    except Exception as error:  # torch raises errors of many types
        words = str(error).split("\n")[0]
        raise PassbandError(f"the network cannot be written as ONNX: {words}") from None
    model = program.model_proto
    _remove_origins(model)
    names = {f"{divisor}*height": "height", f"{divisor}*width": "width"}
    for tensor in (*model.graph.input, *model.graph.output):
        for dimension in tensor.type.tensor_type.shape.dim:
            if dimension.dim_param in names:
                dimension.dim_param = names[dimension.dim_param]
    onnx.helper.set_model_props(model, dict(metadata or {}))
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return next(each.version for each in model.opset_import if each.domain == "")


def largest_differences(
    network: nn.Module,
    divisor: int,
    smallest_px: int,
    path: str | Path,
    has_head: bool = False,
    has_means: bool = False,
) -> tuple[dict[str, float], list[tuple[int, int]]]:
    """Return the largest differences between outputs of an ONNX file and of torch.

    Both are computed for random images of three sizes.

    Args:
        network, divisor, smallest_px, has_head, has_means: See :func:`export`.

    Returns:
        The largest absolute difference of each output, by its name.
        Height and width of the images [pixels]. Some sides are odd multiples of `divisor`.

    Raises:
        PassbandError: If a difference is above that in :data:`TOLERANCES`.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    outputs = Outputs(network, has_head, has_means).eval()
    random = np.random.default_rng(0)
    largest = dict.fromkeys(outputs.names, 0.0)
    first, second, third = _sides(divisor, smallest_px)
    sizes = [(first, first), (first, second), (third, second)]
    for number, size in enumerate(sizes, 1):
        images = random.standard_normal((number, 1, *size)).astype(np.float32)
        expected = outputs.of(torch.from_numpy(images))
        every = session.run(outputs.names, {INPUT: images})
        for (name, wanted), found in zip(expected.items(), every, strict=True):
            # A NaN counts as a difference.
            difference = np.abs(found - wanted).max() if found.shape == wanted.shape else np.inf
            if not difference <= TOLERANCES[name]:
                raise PassbandError(
                    f"the ONNX file's {_WORDS[name]} differ from torch's by {difference:.2g} for "
                    f"images of {size[0]} × {size[1]} pixels; allowed is {TOLERANCES[name]:g}"
                )
            largest[name] = max(largest[name], float(difference))
    return largest, sizes


def _sides(divisor: int, smallest_px: int) -> tuple[int, int, int]:
    """Return three allowed sides of an image [pixels]: two odd and one even multiple of divisor."""
    odd = -(-smallest_px // divisor) | 1
    return odd * divisor, (odd + 2) * divisor, (odd + 3) * divisor


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Leave out warnings of the exporter: a user of Passband can do nothing about them.

    torch warns that it uses deprecated functions. The optimizer of onnxscript warns of operators
    that it does not simplify.
    """
    logger = logging.getLogger("onnxscript")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _remove_origins(model) -> None:
    """Remove what torch notes about the origin of each node, such as paths of source files."""
    for element in (
        *model.graph.node,
        *model.graph.input,
        *model.graph.output,
        *model.graph.initializer,
        *model.graph.value_info,
        model.graph,
        model,
    ):
        element.ClearField("metadata_props")
        element.ClearField("doc_string")
