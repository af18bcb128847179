"""The memory that training needs, counted before training starts.

A train job has in memory: exit waves, masks and images (see :mod:`passband.learning.streaming`),
its networks with the optimizer's state, and the tensors of a step or of a validation batch. The
peak memory of the networks and of these tensors is counted tensor by tensor: the training code runs
on torch's ``meta`` device, where tensors have a shape but no content. If freed memory returns to
the operating system, measured peaks are within a fifth of the counted memory. A process needs more
memory than is counted for two reasons. The heap keeps the memory of freed tensors below 32 MB
(:func:`passband.jobs.job.keep_memory`), and vectorized operations allocate additional memory. This
further memory is at most as large as the counted memory (:data:`SLACK`).
"""

import contextlib
import os
import resource
import sys
import weakref
from pathlib import Path

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from passband import PassbandError
from passband.config import Study, Training
from passband.learning import compact, devices, memory_request, networks
from passband.learning.losses import loss
from passband.learning.vectorized import SingleNetwork, VectorizedNetworks

#: The largest ratio between the memory that a process needs and the counted memory.
SLACK = 2.0


class _Peak(TorchDispatchMode):
    """Adds the bytes of the storages of all tensors that exist, and remembers the highest sum."""

    def __init__(self):
        super().__init__()
        self._alive: dict[int, weakref.ref] = {}
        self.now = self.highest = 0

    def add(self, tensor: torch.Tensor) -> None:
        """Count the storage of a tensor, unless the storage is counted already."""
        storage = tensor.untyped_storage()
        place, size = storage._cdata, storage.nbytes()
        if place in self._alive:
            return

        def gone(_) -> None:
            del self._alive[place]
            self.now -= size

        self._alive[place] = weakref.ref(storage, gone)
        self.now += size
        self.highest = max(self.highest, self.now)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self.add(tensor)
        return result


def peak_training_bytes(
    architecture: str,
    px: int,
    settings: Training,
    precision: str,
    replicas: int = 1,
    together: bool = False,
) -> float:
    """Return the peak memory of a job's networks, in a training step or in validation.

    Args:
        px: Side of an image in pixels.
        settings: The settings with batch size, optimizer and loss.
        precision: ``float32``, ``bfloat16`` or ``float16``.
        together: Whether the networks are vectorized. Otherwise one network computes at a time.

    Returns:
        Bytes of weights, gradients, the optimizer's moments, the best epoch's weights, and
        activations. A training batch has `settings.batch_size` images, and a validation batch has
        four times as many.

    Raises:
        RuntimeError: If the networks cannot be vectorized because they draw random numbers.
    """
    active, dtype = replicas if together else 1, devices.DTYPES[precision]
    modules = [networks.build(architecture).to("meta") for _ in range(active)]
    weights = 4 * active * sum(t.numel() for t in modules[0].parameters())
    if active > 1:
        learning, images, added = VectorizedNetworks(modules, precision), torch.float32, 0.0
    else:
        # Autocast has no effect on the device `meta`. So the weights here have the lower precision,
        # in place of the copies that autocast makes. The bytes of the float32 weights and of their
        # gradients are added.
        learning, images = SingleNetwork(modules[0].to(dtype)), dtype
        added = 0.0 if precision == "float32" else 1.5 * weights
    with torch.device("meta"), _Peak() as peak:
        for tensor in learning.tensors.values():
            peak.add(tensor)
        masks = torch.zeros(active, settings.batch_size, 1, px, px)
        logits = learning.forward(masks.to(images, copy=True))
        loss(logits, masks, settings).sum().backward()
        del logits, masks
        with torch.inference_mode():
            masks = torch.zeros(4 * settings.batch_size, 1, px, px)
            logits = learning.predict(masks.to(images, copy=True))
            loss(logits, masks, settings)
    kept = (memory_request.MOMENTS[settings.optimizer] + 1) * weights  # + 1: best epoch's weights
    others = (replicas - active) * (weights + kept)
    return peak.highest + added + kept + others


def job_peak_bytes(study: Study, architecture: str, device: torch.device) -> float:
    """Return the peak memory of a study's train job, with all its images in memory.

    Returns:
        Bytes of the memory of the process on a CPU, or bytes of the memory of the GPU.
    """
    block, px, training = study.study, study.microscope.field_px, study.training
    replicas = min(block.replicas, block.replicas_per_job)
    together = training.replicas_together == "always" and replicas > 1
    precision = compact.precision(training.precision, architecture, device)
    try:
        needs = peak_training_bytes(architecture, px, training, precision, replicas, together)
    except RuntimeError:  # the replicas cannot be vectorized
        needs = peak_training_bytes(architecture, px, training, precision, replicas)
    needs += memory_request.held_bytes(study)
    if device.type == "cpu":
        needs += memory_request.LIBRARIES + memory_request.train_forming_bytes(study)
    return needs


def available_bytes(device: torch.device, requested: float) -> float:
    """Return the number of bytes that this process may still allocate.

    Args:
        device: The device that computes. For a GPU, the result is the free memory of the GPU.
        requested: The memory that the job has requested [bytes]. Only SLURM enforces the requested
            memory. Without SLURM, the job may use all the memory of the machine.
    """
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return (requested if "SLURM_JOB_ID" in os.environ else machine) - peak_process_bytes()


def peak_process_bytes() -> float:
    """Return the largest memory that this process has used so far [bytes]."""
    with contextlib.suppress(OSError):
        # In a new process, getrusage begins with the peak memory of the parent process.
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024.0 * int(line.split()[1])
    unit = 1 if sys.platform == "darwin" else 1024
    return float(unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def fit_to_memory(
    architecture: str,
    px: int,
    settings: Training,
    device: torch.device,
    replicas: int,
    room: float,
) -> Training:
    """Return settings with which a job's networks fit into memory, or refuse the job.

    With `replicas_together: auto`, vectorized replicas are timed only if they certainly fit into
    memory. Otherwise the operating system could kill the job on a CPU.

    Args:
        architecture, px, settings, replicas: The parameters of :func:`peak_training_bytes`.
        room: Number of bytes that are available to the networks.

    Raises:
        PassbandError: If a batch does not fit into memory. The message names the batch sizes that
            fit.
    """
    precision = compact.precision(settings.precision, architecture, device)
    vectorized = settings.replicas_together == "always" and replicas > 1

    def needs(batch: int, together: bool) -> float:
        sized = settings.model_copy(update={"batch_size": batch})
        return peak_training_bytes(architecture, px, sized, precision, replicas, together)

    try:
        need = needs(settings.batch_size, vectorized)
    except RuntimeError:  # the replicas cannot be vectorized, which training reports
        return settings
    if need > room:
        # `low` is the largest batch size that is known to fit (1: none), and `high` is the smallest
        # batch size that is known to be too large.
        low, high = 1, settings.batch_size
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if needs(middle, vectorized) > room else (middle, high)
        fewer = "2 to" if low > 2 else "only"
        allowed = f"{fewer} {low}" if low > 1 else "none, with this architecture and field_px"
        jointly = "training"
        if vectorized:
            jointly = f"{replicas} vectorized replicas (study.replicas_per_job)"
        raise PassbandError(
            f"training.batch_size = {settings.batch_size}: {jointly} of {architecture} at {px}² "
            f"would need {need / 1e9:.1f} GB of {device.type} memory, and {max(room, 0) / 1e9:.1f} "
            f"GB are available; batch sizes that fit: {allowed}"
        )
    if replicas > 1 and settings.replicas_together == "auto":
        try:
            if SLACK * needs(settings.batch_size, True) > room:
                return settings.model_copy(update={"replicas_together": "never"})
        except RuntimeError:
            pass  # the replicas cannot be vectorized, which training reports
    return settings
