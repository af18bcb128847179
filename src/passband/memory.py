"""The memory that training takes, counted before anything is trained.

A job holds exit waves, masks and images (see :mod:`passband.sources`), its networks with what an
optimizer keeps of each, and what a step or a batch of validation needs at its peak. The last is
counted tensor by tensor: the code of training runs on torch's ``meta`` device, where tensors have a
shape and no content. Measured peaks are within a fifth of the count where freed memory goes back to
the system; what the heap keeps of tensors below 32 MB (:func:`passband.jobs.keep_memory`), and what
stacked operations take within themselves, comes to as much again at most (:data:`SLACK`).
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

from passband import PassbandError, devices, footprint, networks
from passband.config import Study, Training
from passband.learner import loss
from passband.stacking import Alone, Stack

#: What may be taken over what is counted.
SLACK = 2.0


class _Peak(TorchDispatchMode):
    """Adds up the storages that are alive, and keeps the highest sum."""

    def __init__(self):
        super().__init__()
        self._alive: dict[int, weakref.ref] = {}
        self.now = self.highest = 0

    def add(self, tensor: torch.Tensor) -> None:
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


def of_networks(
    architecture: str,
    px: int,
    settings: Training,
    precision: str,
    replicas: int = 1,
    together: bool = False,
) -> float:
    """Return what the networks of a job take at the peak of a step or of validation.

    Parameters
    ----------
    architecture : str
        Their architecture by name.
    px : int
        Side of an image.
    settings : Training
        Batch size, optimizer and loss.
    precision : str
        ``float32``, ``bfloat16`` or ``float16``.
    replicas : int
        Networks of the job.
    together : bool
        Whether they are stacked; else one computes at a time.

    Returns
    -------
    float
        Bytes: weights, their gradients, the optimizer's moments, the best epoch's weights, and
        activations, with batches of `settings.batch_size` to train and four times that to validate.

    Raises
    ------
    RuntimeError
        If the networks draw random numbers, and so cannot be stacked.
    """
    stacked, dtype = replicas if together else 1, devices.DTYPES[precision]
    modules = [networks.build(architecture).to("meta") for _ in range(stacked)]
    weights = 4 * stacked * sum(t.numel() for t in modules[0].parameters())
    if stacked > 1:
        learning, images, beside = Stack(modules, precision), torch.float32, 0.0
    else:
        # Nothing on `meta` is autocast. Weights in lower precision stand for the cast copies; those
        # in float32, and their gradients, are beside what is counted.
        learning, images = Alone(modules[0].to(dtype)), dtype
        beside = 0.0 if precision == "float32" else 1.5 * weights
    with torch.device("meta"), _Peak() as peak:
        for tensor in learning.tensors.values():
            peak.add(tensor)
        masks = torch.zeros(stacked, settings.batch_size, 1, px, px)
        logits = learning.forward(masks.to(images, copy=True))
        loss(logits, masks, settings).sum().backward()
        del logits, masks
        with torch.inference_mode():
            masks = torch.zeros(4 * settings.batch_size, 1, px, px)
            logits = learning.predict(masks.to(images, copy=True))
            loss(logits, masks, settings)
    kept = (footprint.MOMENTS[settings.optimizer] + 1) * weights  # and the best epoch's
    others = (replicas - stacked) * (weights + kept)
    return peak.highest + beside + kept + others


def of_job(study: Study, architecture: str, device: torch.device) -> float:
    """Return what a study's train job of an architecture takes, if its images are held in memory.

    Bytes, of the process's memory on a CPU, and of a GPU's there.
    """
    of, px, training = study.study, study.microscope.field_px, study.training
    replicas = min(of.replicas, of.replicas_per_job)
    together = training.replicas_together == "always" and replicas > 1
    precision = devices.precision(training.precision, device)
    try:
        needs = of_networks(architecture, px, training, precision, replicas, together)
    except RuntimeError:  # they cannot be stacked
        needs = of_networks(architecture, px, training, precision, replicas)
    return footprint.held(study) + needs + (footprint.LIBRARIES if device.type == "cpu" else 0)


def free(device: torch.device, asked: float) -> float:
    """Return the bytes that this process may still take.

    Parameters
    ----------
    device : torch.device
        Of a GPU, what is free on it.
    asked : float
        What the job has asked for. SLURM alone holds it to that, else it may use the machine's
        memory.
    """
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return (asked if "SLURM_JOB_ID" in os.environ else machine) - taken()


def taken() -> float:
    """Return the most bytes that this process has had at a time."""
    with contextlib.suppress(OSError):
        # What getrusage says of a new process begins with the peak of the one that started it.
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024.0 * int(line.split()[1])
    unit = 1 if sys.platform == "darwin" else 1024
    return float(unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def fit(
    architecture: str,
    px: int,
    settings: Training,
    device: torch.device,
    replicas: int,
    room: float,
) -> Training:
    """Return settings under which a job's networks fit in memory.

    What cannot fit is refused. Whether replicas are stacked is left to timing only where that is
    sure to fit: on a CPU the system would kill the job for trying.

    Parameters
    ----------
    architecture, px, settings, replicas
        As for :func:`of_networks`.
    device : torch.device
        Where the job trains.
    room : float
        Bytes that are left to the networks.

    Raises
    ------
    PassbandError
        If the batch cannot fit. The message says which can.
    """
    precision = devices.precision(settings.precision, device)
    stacked = settings.replicas_together == "always" and replicas > 1

    def needs(batch: int, together: bool) -> float:
        sized = settings.model_copy(update={"batch_size": batch})
        return of_networks(architecture, px, sized, precision, replicas, together)

    try:
        need = needs(settings.batch_size, stacked)
    except RuntimeError:  # cannot be stacked, which training says best
        return settings
    if need > room:
        low, high = 1, settings.batch_size  # what fits, as far as known, and what does not
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if needs(middle, stacked) > room else (middle, high)
        fewer = "2 to" if low > 2 else "no more than"
        allowed = f"{fewer} {low}" if low > 1 else "none, with this architecture and field_px"
        jointly = f"{replicas} stacked replicas (study.replicas_per_job)" if stacked else "training"
        raise PassbandError(
            f"training.batch_size = {settings.batch_size}: {jointly} of {architecture} at {px}² "
            f"would take {need / 1e9:.1f} GB of {device.type} memory, and {max(room, 0) / 1e9:.1f} "
            f"GB are left; allowed here: {allowed}"
        )
    if replicas > 1 and settings.replicas_together == "auto":
        try:
            if SLACK * needs(settings.batch_size, True) > room:
                return settings.model_copy(update={"replicas_together": "never"})
        except RuntimeError:
            pass  # of a kind that cannot be stacked, as training finds out too
    return settings
