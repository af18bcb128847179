"""Tries the losses, architectures and heads that a study brings, before any job needs them."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from passband.config import Study, Training, study_checks
from passband.config.architectures import Architecture
from passband.errors import PassbandError
from passband.learning import networks
from passband.learning.heads.found import Found, opened
from passband.learning.loss_of_study import LossOfHead, LossOfStudy
from passband.parts import Part, PartError

#: Number of networks of which a loss is computed.
_NETWORKS = 2
#: Number of images of each.
_IMAGES = 3
#: Side of an image [pixels].
_PX = 16
#: The size of its pixels [nm].
_PIXEL_NM = 0.05


def check(study: Study) -> None:
    """Compute the study's own loss, architectures and heads once on small tensors.

    Raises:
        PartError: If one fails, or returns another shape or type. The message names the part and
            its file.
        PassbandError: If images do not fit an architecture.
    """
    training = study.training
    named = [training.architecture(name) for name in training.architectures]
    try:
        study_checks.check_architectures(study)  # a family's numbers are known only now
    except ValueError as error:
        raise PassbandError(str(error)) from None
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for architecture in named:
            if architecture.part.is_own:
                _try_architecture(architecture)
        if training.loss_part.is_own:
            for outputs in {1 if each.head else each.outputs for each in named}:
                _try_loss_of_study(training, outputs)
        for head in {each.head.name: each.head for each in named if each.head}.values():
            if head.is_own:
                _try_head(head)


def _try_architecture(architecture: Architecture) -> None:
    """Raise PartError if a network cannot be built, trained and applied to images of any shape."""
    part = architecture.part
    divisor = architecture.divisor
    smallest = architecture.smallest_px
    side = -(-smallest // divisor) * divisor
    network = networks.build(architecture)
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise PartError(f"{part}: has no weights to train")
    square = torch.randn(2, 1, side, side)
    wider = torch.randn(1, 1, side, side + divisor)  # as tiles of an image may be
    for images, training in ((square, True), (wider, False)):
        try:
            found = part.call(network.train(training), images)
        except PartError as error:
            raise PartError(
                f"{error}; for images of {images.shape[-2]} × {images.shape[-1]} pixels, which "
                f"smallest_px = {smallest} and divisor = {divisor} allow"
            ) from error
        wanted = (len(images), architecture.outputs, *images.shape[-2:])
        _check_logits(architecture, found, wanted, tuple(images.shape))


def _check_logits(
    architecture: Architecture, found: object, wanted: tuple[int, ...], images: tuple[int, ...]
) -> None:
    part = architecture.part
    if not isinstance(found, Tensor):
        raise PartError(f"{part}: returns {type(found).__name__}; must return a tensor of logits")
    if found.shape != wanted:
        raise PartError(
            f"{part}: returns {tuple(found.shape)} for images {images}; must return {wanted}"
        )
    if not found.is_floating_point() or not found.isfinite().all():
        raise PartError(f"{part}: returns {_kind(found)} that are not all finite numbers")


def _try_loss_of_study(training: Training, outputs: int) -> None:
    loss = LossOfStudy(training)
    targets = loss.example(_NETWORKS, _IMAGES, _PX, torch.device("cpu"))
    _try_loss(loss.part, loss, outputs=outputs, targets=targets)


def _try_head(part: Part) -> None:
    """Raise PartError if a head has a wrong loss, or makes no particles of its outputs."""
    loss = LossOfHead(part)
    outputs = part.declaration.outputs
    instances = torch.zeros(_NETWORKS, _IMAGES, 2, _PX, _PX, dtype=torch.uint8)
    instances[..., 0, :, : _PX // 2] = 1
    instances[:, 0, 1, 2:7, 3:9] = 2  # it overlaps the other; two images have but one face
    instances[:, 1] = 0
    _try_loss(part, loss, outputs=outputs, targets=[instances])
    nothing = loss(torch.zeros(_NETWORKS, _IMAGES, outputs, _PX, _PX), 0 * instances)
    if not nothing.isfinite().all():
        raise PartError(f"{part}: loss returns {nothing.tolist()} for images without particles")
    decoder = opened(part)
    some = np.random.default_rng(0).normal(size=(1 + outputs, _PX, 2 * _PX)).astype(np.float32)
    for sign in (1, -1):  # with a mask, and with an empty one
        some[0] = sign * np.abs(some[0])
        found = part.call(decoder.decode, some, _PIXEL_NM)
        _check_found(part, found, some.shape[1:])


def _check_found(part: Part, found: object, shape: tuple[int, ...]) -> None:
    if not isinstance(found, Found):
        raise PartError(f"{part}: decode returns {type(found).__name__}; must return a Found")
    labels = np.asarray(found.labels)
    if labels.shape != shape or labels.dtype != np.int32:
        raise PartError(
            f"{part}: decode returns labels {labels.shape} of {labels.dtype}; must be int32 of "
            f"shape {shape}"
        )
    numbers = np.unique(labels[labels != 0])
    if not np.array_equal(numbers, np.arange(1, len(numbers) + 1)):
        raise PartError(
            f"{part}: decode returns labels {numbers[:5].tolist()} …; must be 1, 2 and so on, "
            "and 0 outside particles"
        )
    for name in ("diameters_nm", "certainty"):
        values = getattr(found, name)
        if np.shape(values) != (len(numbers),) or not np.isfinite(values).all():
            raise PartError(
                f"{part}: decode returns {name} of shape {np.shape(values)}; must be a finite "
                f"number for each of {len(numbers)} particles"
            )


def _try_loss(
    part: Part, loss: Callable[..., Tensor], *, outputs: int, targets: Sequence[Tensor]
) -> None:
    """Raise PartError if the loss is no function of each network's own logits with a gradient."""
    shape = _NETWORKS, _IMAGES, outputs, _PX, _PX
    logits = torch.randn(shape, requires_grad=True)
    found = part.call(loss, logits, *targets)
    if not found.isfinite().all():
        raise PartError(f"{part}: returns {found.tolist()}; must be finite numbers")
    if not found.requires_grad:
        raise PartError(f"{part}: has no gradient; it must follow from the logits")
    (gradient,) = part.call(torch.autograd.grad, found[0], logits)
    if gradient[1:].any():
        raise PartError(f"{part}: mixes networks; the loss of each must follow from its own logits")
    with torch.inference_mode():  # networks share the targets of validation images
        part.call(loss, logits.detach(), *(target[0] for target in targets))


def _kind(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} logits"
