"""Count the weights and the memory of a U-Net with each encoder, for the memory that jobs request.

    python benchmarks/encoders.py               # minutes; prints the differences from the table
    python benchmarks/encoders.py --write       # writes the table again
    python benchmarks/encoders.py resnet18      # seconds; the encoder may be a new one

The table is ``src/passband/config/encoders.csv``. The workflow reads the table, because
importing torch and counting weights would take too long. The table's bytes per pixel are the growth
of peak memory with the batch size, in float32, for images of 128² pixels. The peak memory is that
of a training step or of a validation batch, whichever is larger. To add an encoder of
segmentation_models_pytorch to the table, name it with ``--write``.
"""

import argparse
import weakref

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from passband.config import Training
from passband.config.architectures import ENCODERS, ENCODERS_FILE
from passband.learning import networks
from passband.learning.losses import loss
from passband.learning.vectorized import SingleNetwork

#: Numbers of images in a batch. In smaller batches, the weights would need most of the memory.
PX, BATCHES = 128, (32, 64)


class Peak(TorchDispatchMode):
    """Adds the bytes of the storages of all tensors that exist, and remembers the highest sum."""

    def __init__(self):
        super().__init__()
        self._alive: dict[int, weakref.ref] = {}
        self._now = self.highest = 0

    def add(self, tensor: torch.Tensor) -> None:
        """Count the storage of a tensor, unless the storage is counted already."""
        storage = tensor.untyped_storage()
        place, size = storage._cdata, storage.nbytes()
        if place in self._alive:
            return

        def gone(_) -> None:
            del self._alive[place]
            self._now -= size

        self._alive[place] = weakref.ref(storage, gone)
        self._now += size
        self.highest = max(self.highest, self._now)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self.add(tensor)
        return result


def peak_bytes(architecture: str, px: int, settings: Training) -> int:
    """Return the peak memory of a float32 network in a training step and in validation [bytes].

    The training code runs on torch's ``meta`` device, where tensors have a shape but no content.
    The optimizer's moments and the best epoch's weights are not counted.
    """
    learning = SingleNetwork(networks.build(architecture).to("meta"))
    with torch.device("meta"), Peak() as peak:
        for tensor in learning.tensors.values():
            peak.add(tensor)
        masks = torch.zeros(1, settings.batch_size, 1, px, px)
        logits = learning.forward(masks.clone())
        loss(logits, masks, settings).sum().backward()
        del logits, masks
        with torch.inference_mode():
            masks = torch.zeros(4 * settings.batch_size, 1, px, px)
            logits = learning.predict(masks.clone())
            loss(logits, masks, settings)
    return peak.highest


def count(encoder: str) -> tuple[float, float]:
    """Return a U-Net's weights in millions, and its bytes per pixel to three digits."""
    name = f"unet-{encoder}"
    ENCODERS.setdefault(encoder, (0.0, 0.0))  # `build` needs an entry for each encoder
    weights = sum(p.numel() for p in networks.build(name).parameters())
    few, many = (peak_bytes(name, PX, Training(batch_size=size)) for size in BATCHES)
    per_pixel = (many - few) / (BATCHES[1] - BATCHES[0]) / PX**2
    return round(weights / 1e6, 1), float(f"{per_pixel:.3g}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("encoder", nargs="*", help="encoders to count (default: all in the table)")
    parser.add_argument("--write", action="store_true", help="write the table")
    given = parser.parse_args()
    table = dict(ENCODERS)
    for encoder in given.encoder or list(table):
        before, table[encoder] = table.get(encoder), count(encoder)
        verdict = "as in the table" if table[encoder] == before else f"in the table: {before}"
        print(f"{encoder}: {table[encoder]}, {verdict}", flush=True)
    if given.write:
        rows = [f"{name},{weights:.1f},{size:.0f}" for name, (weights, size) in table.items()]
        ENCODERS_FILE.write_text("\n".join(["encoder,weights_millions,bytes_per_pixel", *rows, ""]))


if __name__ == "__main__":
    main()
