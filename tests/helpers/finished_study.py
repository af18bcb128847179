"""The files of a small finished study, which are written without Snakemake and without training."""

from pathlib import Path

import torch
from synthetic import SEED, discs, weights_metadata

from passband.config import Study
from passband.learning import networks
from passband.results import layout, network_batches, wave_layout
from passband.seeds import seed
from passband.storage import datasets, weights


def small_study(**blocks: dict) -> Study:
    """Return a study of two training conditions with two replicas each, on discs of 32² pixels."""
    given = {
        "study": {
            "name": "tiny",
            "seed": SEED,
            "structures": {"train": 2, "val": 1, "test": 3},
            "replicas": 2,
            "replicas_per_job": 2,
        },
        "microscope": {"field_px": 32, "pixel_size_A": 0.4, "focal_members": 3},
        "specimens": {
            "gold": {
                "diameter_nm": {"mean": 0.6, "std": 0, "min": 0.6, "max": 0.6},
                "particles": {"min": 1, "max": 1},
            }
        },
        "grid": {
            "defocus_nm": [5, 15],
            "cs_um": [1.2],
            "aperture_mrad": [15],
            "dose_e_per_A2": [1000],
        },
        "training": {"architectures": ["compact-w4-d2"]},
    }
    for name, block in blocks.items():
        given[name] = {**given.get(name, {}), **block}
    return Study.model_validate(given)


def varied(architecture: str, *names: str | int) -> torch.nn.Module:
    """Return an untrained network with logits of both signs; `names` seed its weights."""
    network = networks.build(architecture, seed(*names))
    images = torch.randn(8, 1, 32, 32, generator=torch.manual_seed(0))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0  # the running means are those of the images
    with torch.no_grad():
        network(images)
        network.eval()
        *_, last = (m for m in network.modules() if isinstance(m, torch.nn.Conv2d))
        last.bias -= network(images).mean()
        last.weight *= 4
        last.bias *= 4
    return network


def write_networks(
    study: Study, results: Path, cell: network_batches.TrainingCell, *names: str
) -> None:
    """Write untrained networks with logits of both signs; `names` change their weights."""
    batch = cell.batch
    of_cell = str(cell.id).split("/")
    states = {
        replica: varied(batch.architecture, *of_cell, replica, *names).state_dict()
        for replica in batch.replicas
    }
    metadata = weights_metadata(
        batch.replicas,
        architecture=batch.architecture,
        specimen=batch.specimen,
        condition=cell.condition,
    )
    weights.save(states, results / batch.path(layout.WEIGHTS), metadata)


def write_waves(study: Study, results: Path) -> None:
    """Write the exit waves of the test structures."""
    microscope = study.microscope
    for name in study.specimens:
        waves = discs(study.study.structures.test, "test", name, microscope.field_px)
        attrs = {"seed": SEED, "energy_eV": microscope.energy_eV}
        (path,) = wave_layout.shards(study, name, "test")
        datasets.write(waves, results / path, datasets.WAVES, attrs)


def write_finished(study: Study, results: Path) -> None:
    """Write the exit waves of the test structures, and all networks."""
    write_waves(study, results)
    for cell in network_batches.cells_of(study):
        write_networks(study, results, cell)
