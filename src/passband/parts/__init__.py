"""Parts: figures, metrics, losses and other things that are one function or class in one file.

A part is declared by a decorator of its kind::

    from passband.parts import PAIR, metric

    @metric(PAIR)
    def same_sign(pair): ...

The package's own parts and those of a study are found in the same way: declarations are read from
the text of their file, and the file is imported when the part is used. So this room imports no
other, and knows all names without importing torch, xarray or matplotlib.
"""

from passband.parts.kinds import (
    KINDS,
    PAIR,
    SINGLE,
    TRAIN,
    Kind,
    architecture,
    engine,
    figure,
    head,
    loss,
    material,
    metric,
    noise,
    ood_metric,
    reader,
    shape,
    specimen,
)
from passband.parts.known import PACKAGE, STORED, Parts
from passband.parts.part import Part
from passband.parts.source import FOLDER, PartError

__all__ = [
    "FOLDER",
    "KINDS",
    "PACKAGE",
    "PAIR",
    "SINGLE",
    "STORED",
    "TRAIN",
    "Kind",
    "Part",
    "PartError",
    "Parts",
    "architecture",
    "engine",
    "figure",
    "head",
    "loss",
    "material",
    "metric",
    "noise",
    "ood_metric",
    "reader",
    "shape",
    "specimen",
]
