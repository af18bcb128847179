"""Count the weights and the memory of a U-Net with each encoder, for the memory that jobs request.

    python benchmarks/encoders.py               # minutes; prints the differences from the table
    python benchmarks/encoders.py --write       # writes the table again
    python benchmarks/encoders.py resnet18      # seconds; the encoder may be a new one

The table is ``src/passband/learning/architectures/encoders.csv``. The workflow reads the table,
because importing torch and counting weights would take too long. The table's bytes per pixel are
the growth of peak memory with the batch size, in float32, for images of 128² pixels. The peak
memory is that of a training step or of a validation batch, whichever is larger. To add an encoder
of segmentation_models_pytorch to the table, name it with ``--write``.
"""

import argparse

from passband.config.architectures import parse
from passband.learning import peak_memory
from passband.learning.architectures.pairs import ENCODERS, ENCODERS_FILE


def count(encoder: str) -> tuple[float, float]:
    """Return a U-Net's weights in millions, and its bytes per pixel to three digits."""
    ENCODERS.setdefault(encoder, (0.0, 0.0))  # `parse` needs an entry for each encoder
    weights, per_pixel = peak_memory.count(parse(f"unet-{encoder}"))
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
