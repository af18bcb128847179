"""A small study with exit waves of all splits, and networks whose metadata have the study."""

import json

from finished_study import small_study, varied
from synthetic import SEED, discs, weights_metadata

from passband.results import layout, network_batches, wave_layout
from passband.storage import datasets, weights

STRUCTURES = {"train": 12, "val": 6, "test": 5}
STUDY = small_study(study={"structures": STRUCTURES})


def write_study(results, study=STUDY):
    """Write the exit waves of all splits, and networks whose metadata have the study."""
    for split, number in STRUCTURES.items():
        waves = discs(number, split)
        attrs = {"seed": SEED, "energy_eV": study.microscope.energy_eV}
        (path,) = wave_layout.shards(study, "gold", split)
        datasets.write(waves, results / path, datasets.WAVES, attrs)
    configuration = json.dumps(study.model_dump(mode="json"))
    for cell in network_batches.cells_of(study):
        job = cell.batch
        names = str(cell.id).split("/")
        states = {r: varied(job.architecture, *names, r).state_dict() for r in job.replicas}
        metadata = weights_metadata(
            job.replicas,
            architecture=job.architecture,
            condition=cell.condition,
            provenance={"configuration": configuration},
        )
        weights.save(states, results / job.path(layout.WEIGHTS), metadata)
    return results
