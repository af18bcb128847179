"""Tries the losses and architectures that a study brings, before any job needs them."""

import torch
from torch import Tensor

from passband.config import Study, Training, study_checks
from passband.config.architectures import Architecture
from passband.errors import PassbandError
from passband.learning import networks
from passband.learning.loss_of_study import LossOfStudy
from passband.parts import PartError

#: Number of networks of which a loss is computed.
_NETWORKS = 2
#: Number of images of each.
_IMAGES = 3
#: Side of an image [pixels].
_PX = 16


def check(study: Study) -> None:
    """Compute the study's own loss, and its own architectures, once on small tensors.

    Raises:
        PartError: If one fails, or returns another shape or type. The message names the part and
            its file.
        PassbandError: If images do not fit an architecture.
    """
    training = study.training
    own = [training.architecture(name) for name in training.architectures]
    own = [architecture for architecture in own if architecture.part.is_own]
    try:
        study_checks.check_architectures(study)  # a family's numbers are known only now
    except ValueError as error:
        raise PassbandError(str(error)) from None
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for architecture in own:
            _try_architecture(architecture)
        if training.loss_part.is_own:
            for outputs in {training.architecture(name).outputs for name in training.architectures}:
                _try_loss(training, outputs)


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


def _try_loss(training: Training, outputs: int) -> None:
    """Raise PartError if the loss is no function of each network's own logits with a gradient."""
    loss = LossOfStudy(training)
    part = loss.part
    shape = _NETWORKS, _IMAGES, outputs, _PX, _PX
    logits = torch.randn(shape, requires_grad=True)
    targets = loss.example(_NETWORKS, _IMAGES, _PX, torch.device("cpu"))
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
