"""Which results of further conditions are valid, and all of them in one Dataset.

See :mod:`passband.jobs.extra`.
"""

import json
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import xarray as xr

from passband import STAGES
from passband.analysis import cell_means
from passband.config import Study
from passband.grid import Condition, batches, coordinates, ordered
from passband.jobs import layout
from passband.jobs.layout import TrainingCell
from passband.scores import OUTCOMES, dice
from passband.seeds import digest
from passband.storage import weights

#: The dimensions of the results that identify a network.
_NETWORK = ("specimen", "architecture", "train", "replica")


def valid(study: Study, results: Path, job: TrainingCell, record: xr.Dataset) -> xr.Dataset | None:
    """Return the part of a training job's further results that is valid, or None.

    The networks are compared by the checksum of their file, and test structures and microscope by
    the configuration. No network and no exit wave is read.
    """
    now = described(study, results, job)
    before = json.loads(record.attrs.get("described", "{}"))
    if list(record.replica.values) != list(job.replicas):
        return None
    names = [name for name in record.test_specimen.values if before.get(name) == now.get(name)]
    return record.sel(test_specimen=names) if names else None


def described(study: Study, results: Path, job: TrainingCell) -> dict[str, str]:
    """Return a digest of a job's networks, the microscope and the structures, by test specimen.

    The digest is computed from the configuration and the checksum of the weights file.
    """
    checksum = weights.checksum(results / job.path(layout.WEIGHTS))
    common = (
        [STAGES["simulate"], STAGES["evaluate"], checksum, study.study.seed],
        study.microscope.exit_wave_params(),
        study.microscope.imaging_params(),
        study.study.structures.test,
    )
    return {
        name: digest(common, name, specimen.params(), specimen.content)
        for name, specimen in study.specimens.items()
    }


def gathered(
    study: Study,
    records: Mapping[TrainingCell, xr.Dataset],
    variables: Collection[str],
) -> xr.Dataset:
    """Return the results of all training jobs in one Dataset."""
    ids = {id for record in records.values() for id in record.test.values}
    test = [c.id for c in ordered(map(Condition.parse, ids), study.own_values)]
    sizes: dict[str, list] = {
        "specimen": list(study.trained_specimens),
        "architecture": list(study.training.architectures),
        "train": study.train_ids,
        "replica": list(range(study.study.replicas)),
        "test_specimen": list(study.specimens),
        "test": test,
    }
    cell = (*_NETWORK, "test_specimen", "test")
    shape = [len(values) for values in sizes.values()]
    structures = study.study.structures.test
    own = cell_means.own_sizes(
        list(batches(study.study.replicas, study.study.replicas_per_job).values())
    )
    means = {name for name in cell_means.names({**sizes, **own}) if name in variables}
    filled = {"dice": np.full(shape, np.nan, "float32")}
    if "counts" in variables:
        filled["counts"] = np.full((*shape, structures, len(OUTCOMES)), np.nan)
    places = {name: {v: k for k, v in enumerate(values)} for name, values in sizes.items()}
    for name in means:
        row = cell_means.empty_row({**sizes, **own})[name]
        filled[name] = np.broadcast_to(row, (*shape[:3], *row.shape)).copy()
    for job, record in records.items():
        place = tuple(places[n][v] for n, v in zip(_NETWORK[:3], job.names, strict=True))
        into = np.ix_(
            *(
                [places[name][value] for value in record[name].values.tolist()]
                for name in ("replica", "test_specimen", "test")
            )
        )
        filled["dice"][place][into] = dice(record.counts.values).mean(-1)
        if "counts" in filled:
            filled["counts"][place][into] = record.counts.values
        if means and (made := cell_means.cell_means(record)) is not None:
            row = {name: filled[name][place] for name in means}
            cell_means.put(row, made, {**sizes, **own})
    described = {
        "dice": (cell, {"units": "1", "long_name": "Dice, mean over structures"}),
        "counts": (
            (*cell, "structure", "outcome"),
            {"units": "pixels", "long_name": "pixels by outcome"},
        ),
        **{
            name: ((*_NETWORK[:3], *dims), attrs)
            for name, (dims, _, attrs) in cell_means.VARIABLES.items()
            if name in means
        },
    }
    return xr.Dataset(
        {
            name: (dims, filled[name], attrs)
            for name, (dims, attrs) in described.items()
            if name in variables
        },
        {
            **sizes,
            **({"outcome": list(OUTCOMES)} if "counts" in filled else {}),
            **(cell_means.own_coordinates(own) if means else {}),
            **coordinates(sizes["train"], "train", study.own_values),
            **coordinates(sizes["test"], "test", study.own_values),
        },
    )
