"""A finished study of 16 conditions with exit waves of all splits, and its first network."""

import json

import numpy as np
import torch
from finished_study import small_study, varied
from recommended import STRUCTURES, make_results
from synthetic import CPU, SEED, discs, weights_metadata

from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Split, Structures
from passband.results import layout, network_batches, wave_layout
from passband.storage import datasets, weights

NUMBERS = {"train": 12, "val": 6, "test": STRUCTURES}
STUDY = small_study(
    study={"structures": NUMBERS, "replicas": 1, "replicas_per_job": 1},
    grid={
        "defocus_nm": [5, 20],
        "cs_um": [1.2, 60],
        "aperture_mrad": [10, 16],
        "dose_e_per_A2": [100, 1000],
    },
)


def write_imaged_study(folder, study=STUDY):
    """Write the study's file, table, exit waves and first network; return the results."""
    results = make_results(study, folder)
    for split, number in NUMBERS.items():
        (path,) = wave_layout.shards(study, "gold", split)
        attrs = {"seed": SEED, "energy_eV": study.microscope.energy_eV}
        datasets.write(discs(number, split), results / path, datasets.WAVES, attrs)
    cell = next(iter(network_batches.cells_of(study)))
    network = {0: varied("compact-w4-d2", *str(cell.id).split("/")).state_dict()}
    provenance = {"configuration": json.dumps(study.model_dump(mode="json"))}
    metadata = weights_metadata(condition=cell.condition, provenance=provenance)
    weights.save(network, results / cell.batch.path(layout.WEIGHTS), metadata)
    return results


def user_images(condition, number=6, phase=0.4, study=STUDY):
    """Return counts (n, px, px) of other structures than those of the study."""
    waves = discs(number, "user", phase=phase)
    split = Split.from_dataset(waves, Structures(SEED, "gold", "user", study.microscope), CPU)
    acquisition = Acquisition.from_microscope(study.microscope, "zscore", CPU)
    return np.asarray(torch.cat(list(acquisition.counts(split, condition))))
