"""The digests by which Passband 0.2 recognised what it had made, as 0.2 computed them.

A file of 0.2 has the digest of everything that it depends on in its attribute `context`. So if the
study's values give the same digest, a job of this version would make the same file. Nothing here
follows a change of this version: keys that are new or were removed are treated as 0.2 did.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from passband.config import Study
from passband.config.base import Block
from passband.mixtures import extremes
from passband.seeds import digest, seed
from passband.stages import STAGES
from passband.storage.weights import WeightsMetadata
from passband.wave_sets import WaveSet

#: The words of 0.2 with the numbers of its stages, whose results are those of this version. When a
#: number of these two is raised, no file of 0.2 is valid any more, since none has that number.
_SIMULATE = f"simulate {STAGES['simulate']}"
_TRAIN = f"train {STAGES['train']}"
_TURNED = ", structures turned"
#: The number of this stage was raised for variables that are left out now. Counts are the same.
_EVALUATE = "evaluate 3"

#: The keys that 0.2 always included, with their defaults. It included any other key only with
#: another value than the default.
_MICROSCOPE = {
    "energy_kev": 300.0,
    "pixel_size_A": 0.3,
    "field_px": 128,
    "coherence": "focal-series",
    "focal_members": 5,
    "focal_spread_nm": 3.0,
    "source_spread_mrad": 0.1,
    "aperture_edge_mrad": 0.0,
    "aberrations": {
        "astigmatism_nm": 0.0,
        "astigmatism_deg": 0.0,
        "coma_nm": 0.0,
        "coma_deg": 0.0,
        "threefold_nm": 0.0,
        "threefold_deg": 0.0,
    },
    "spread": {
        "focus_nm": 0.0,
        "dose": 0.0,
        "astigmatism_nm": 0.0,
        "coma_nm": 0.0,
        "threefold_nm": 0.0,
    },
    "vibration_A": 0.0,
    "detector": {"mtf": "none", "mtf_nyquist": 0.5, "mtf_table": [], "gain": 1.0},
}
_SPECIMEN = {
    "material": "Au",
    "shape": "wulff",
    "surface_energies": {},
    "diameter_nm": {"distribution": "normal", "mean": 1.8, "std": 0.3, "min": 1.2, "max": 2.4},
    "closed_shells": False,
    "roughness": 0.0,
    "twins": {"min": 0, "max": 0},
    "stacking_faults": {"min": 0, "max": 0},
    "orientation": {"zone": [], "within_deg": 5.0},
    "thermal": {"temperature_K": 0.0, "msd_A2": {}, "configurations": 1},
    "particles": {"min": 1, "max": 2},
    "gap_nm": 0.3,
    "substrate": {
        "thickness_nm": 1.0,
        "thickness_std_nm": 0.0,
        "faces": "top",
        "density_g_per_cm3": 2.0,
        "minimum_distance_A": 1.4,
    },
}
_TRAINING = {
    "epochs": 12,
    "batch_size": 8,
    "optimizer": "adam",
    "learning_rate": 0.004,
    "momentum": 0.9,
    "weight_decay": 0.0,
    "schedule": "one-cycle",
    "decay": 0.8,
    "entropy_weight": 1.0,
    "focal_gamma": 0.0,
    "dice_weight": 1.0,
    "patience": 0,
    "normalisation": "zscore",
    "noise": "fresh",
    "augment": True,
    "precision": "auto",
}
#: The keys of 0.2 that change nothing but rounding errors, and the values that they had. This
#: version does not compare them.
_ROUNDING = {
    "replicas_together": ("auto", "always", "never"),
    "compile": ("auto", "always", "never"),
}


def of_waves(study: Study, specimen: str, split: str, waves: str, structures: range) -> str:
    """Return the context of a file of exit waves.

    Args:
        waves: Id of the set of exit waves.
        structures: The indices of the file's structures within the split.
    """
    own = study.specimens[specimen]
    under = WaveSet.parse(waves)
    values = _specimen(own.under(under))
    if waves:
        pixel = study.microscope.pixel_size_A
        values |= {"own": _specimen(own), "own_pixel_A": pixel}
    return digest(
        _SIMULATE,
        study.study.seed,
        values,
        own.content,
        _for_waves(study, under),
        specimen,
        split,
        [structures.start, structures.stop],
    )


def of_structures(
    names: tuple[int, str, str], arrays: Iterable[tuple[int, np.ndarray, np.ndarray]]
) -> str:
    """Return the digest of a split's exit waves, on which the context of networks depends.

    Args:
        names: The study's seed, the specimen and the split.
        arrays: For each structure, in order: its index within the split, its complex64 spectra,
            and its float32 mask.
    """
    hashed = hashlib.blake2b(repr(names).encode(), digest_size=8)
    for index, *each in arrays:
        hashed.update(repr([index]).encode())
        for array in each:
            hashed.update(np.ascontiguousarray(array).data)
    return hashed.hexdigest()


def of_networks(
    study: Study,
    specimen: str,
    architecture: str,
    condition: str,
    replicas: Sequence[int],
    splits: Sequence[str],
) -> Iterator[str]:
    """Yield the contexts that a file with these replicas of a training condition may have.

    Args:
        splits: The digests of the exit waves for training and for validation, from
            :func:`of_structures`.
    """
    cell = specimen, architecture, condition
    seeds = {replica: seed(study.study.seed, *cell, replica) for replica in replicas}
    microscope = _for_images(study)
    lenses = map(study.microscope.optics, extremes(study.trained_under(condition)))
    turned = study.training.augment and not all(lens.round for lens in lenses)
    version = _TRAIN + _TURNED * turned
    for training in _for_training(study):
        yield digest(version, microscope, training, cell, seeds, list(splits))


def of_results(
    study: Study, metadata: WeightsMetadata, networks: str, device: str, structures: str | None
) -> str:
    """Return the context of results on the test structures of a specimen.

    Args:
        networks: The fingerprint of all networks of a training condition that the record has.
        device: The kind of device that tested them.
        structures: The digest of the test structures, from :func:`of_structures`.
    """
    names = "architecture", "normalisation", "precision"
    training = {name: getattr(metadata, name) for name in names}
    return digest([_EVALUATE, _for_images(study), training, device], networks, structures)


def _for_waves(study: Study, under: WaveSet) -> dict[str, Any]:
    microscope = study.microscope.under(under)
    only = "energy_kev", "pixel_size_A", "field_px", "oversampling", "engine"
    values = _values(microscope, _MICROSCOPE)
    chosen = {name: values[name] for name in only if name in values}
    return chosen | {"multislice_pixel_A": microscope.multislice_A}


def _for_images(study: Study) -> dict[str, Any]:
    values = _values(study.microscope, _MICROSCOPE)
    without = ["engine", "multislice_pixel_A"]
    if values["coherence"] == "quasi-coherent":
        without.append("focal_members")
    return {name: value for name, value in values.items() if name not in without}


def _for_training(study: Study) -> Iterator[dict[str, Any]]:
    values = _values(study.training, _TRAINING)
    without = ["architectures", "recipe", "save_every_s", *_ROUNDING]
    if values["schedule"] != "exponential":
        without.append("decay")
    if values["optimizer"] != "sgd":
        without.append("momentum")
    values = {name: value for name, value in values.items() if name not in without}
    # Jobs of one replica had no value of `replicas_together`.
    alone = ({}, *({"replicas_together": value} for value in _ROUNDING["replicas_together"]))
    for together, compiled in product(alone, _ROUNDING["compile"]):
        yield values | together | {"compile": compiled}


def _specimen(specimen: Block) -> dict[str, Any]:
    values = _values(specimen, _SPECIMEN)
    return {name: value for name, value in values.items() if name != "trained"}


def _values(block: Block, always: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a block's keys as 0.2 had them."""
    return _included(block.model_dump(), type(block)().model_dump(), always)


def _included(
    values: Mapping[str, Any], defaults: Mapping[str, Any], always: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the values that 0.2 included, with those of keys that were removed since then."""
    found = dict(always)
    for name, value in values.items():
        inner = always.get(name)
        if isinstance(inner, dict) and inner:
            found[name] = _included(value, defaults[name], inner)
        elif name in always or value != defaults[name]:
            found[name] = value
    return found
