"""The content of the report of a synthetic study."""

import io
from pathlib import Path

import numpy as np
import xarray as xr
from matrices import GRID, make_metrics, make_table
from PIL import Image

from passband.config import Study
from passband.matrices.of_study import StudyMatrices, matrices
from passband.network_id import NetworkId
from passband.parts import PACKAGE
from passband.reports.page import page
from passband.reports.page.job_files import Cost, History
from passband.reports.page.numbers import Numbers, numbers

ROOT = Path(__file__).parents[2]
#: A grid of 135 conditions.
PAPER = {
    "defocus_nm": [5, 15, 25],
    "cs_um": [1.2, 5, 20],
    "aperture_mrad": [10, 14, 18],
    "dose_e_per_A2": [30, 100, 300, 800, 1600],
}


def make_study(**blocks) -> Study:
    """Return a study of 24 conditions."""
    given = {
        "study": {"name": "tiny"},
        "specimens": {"gold": {}},
        "microscope": {"field_px": 128, "pixel_size_A": 0.3},
        "grid": {**GRID, "cs_um": [1.2, 20]},
        "evaluation": {"bootstrap": 20},
    }
    return Study.model_validate(given | blocks)


def source_of(table, unlearned=None, metrics=None) -> StudyMatrices:
    """Return the results of a synthetic study, and set which networks did not learn, if given."""
    source = StudyMatrices(table, metrics, make_study())
    if unlearned is not None:
        source.unlearned = unlearned
    return source


def numbers_of(table, confidence, unlearned=None) -> Numbers:
    """Return the numbers of a table of a synthetic study, see :func:`source_of`."""
    return numbers(source_of(table, unlearned).matrices, confidence)


def make_stores(grid, confidence=0.95):
    """Return numbers, OOD metrics and information metrics of a synthetic study."""
    metrics, _ = make_metrics(grid, noise=0.02)
    M = metrics.dice.values[0, 0, 0].clip(0, 1)
    found = numbers_of(make_table(grid, M, sd_structure=0.02), confidence)
    own = np.diag(M)
    dims = metrics.dice.dims
    gap = (own - M)[None, None, None]
    metrics = metrics.assign(
        gap_test=(dims, gap),
        gap_model=(dims, gap),
        dice_interval=((*dims, "bound"), np.stack([metrics.dice - 0.01, metrics.dice + 0.01], -1)),
        id=(dims[:-1], own[None, None, None]),
        ood=metrics.dice.mean("test"),
        worst=metrics.dice.min("test"),
        bound=["low", "high"],
    )
    values = np.random.default_rng(0).random((2, *M.shape))
    names = [f"metric{k}" for k in range(10)]
    coords = {
        "weight": ["flat", "gold"],
        "train": [c.id for c in found.train],
        "test": [c.id for c in found.test],
    }
    variables = {name: (("weight", "train", "test"), values + k) for k, name in enumerate(names)}
    return found, metrics, xr.Dataset(variables, coords=coords)


def picture(px: int) -> bytes:
    """Return a PNG file of noise."""
    packed = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (px, px, 3), dtype=np.uint8)
    Image.fromarray(noise).save(packed, "png")
    return packed.getvalue()


def make_content(grid=GRID, replicas=2, **changes) -> page.Content:
    """Return the content of a complete study, with some values changed."""
    found, metrics, information = make_stores(grid)
    random = np.random.default_rng(0)
    epochs = np.arange(5.0)
    values = {
        "study": make_study(),
        "made": "26 November 2026",
        "revision": "0123456789ab",
        "results": "results/tiny",
        "numbers": found,
        "matrices": matrices(metrics=metrics),
        "information": information,
        "figures": {name: {"png": picture(60)} for name in PACKAGE.of("figure")},
        "histories": [
            History(NetworkId("gold", "compact", id, k), epochs, random.random(5), random.random(5))
            for id in [condition.id for condition in found.train]
            for k in range(replicas)
        ],
        "costs": [Cost("train", 12, 3600, 1800, 700), Cost("ood", 1, 2, 0, 0)],
        "citation": ["A reference."],
    }
    return page.Content(**values | changes)
