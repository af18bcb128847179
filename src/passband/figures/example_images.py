"""What the figure of examples shows: images of a network, and what it and others predict."""

from collections.abc import Mapping
from typing import Any

from passband.config import Study
from passband.figures import style
from passband.figures.outlines import Examples, shown_conditions
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Structures
from passband.learning import devices, evaluation, networks
from passband.matrices.of_study import matrices
from passband.matrices.stored import MatrixName
from passband.results import network_batches
from passband.storage import datasets


def examples(study: Study, files: Mapping[str, Any], train: str | None) -> Examples:
    """Return images of a network's training condition and of its two worst conditions.

    Args:
        files: The store `ood`; the file with the network's `weights`, as a list; the files of the
            networks that were trained `there`, under one of the conditions; and the exit `waves`
            of the test structures.
        train: Id of the network's training condition.
    """
    parts = study.known_parts
    network, found = networks.load_first(files["weights"][0], {"condition": train}, parts)
    structures = Structures.of_study(study, found.specimen, "test", files["waves"])
    device = devices.device()
    acquired = Acquisition.from_microscope(structures.microscope, found.normalisation, device)
    loaded = structures.load(device).first(study.figures.examples)
    name = MatrixName(found.specimen, found.architecture, found.specimen)
    every = matrices(metrics=datasets.read(files["ood"], datasets.OOD))
    matrix = next(each for each in every if each.name == name)
    shown = shown_conditions(matrix, found.condition)
    images, predictions, scores = evaluation.examples(
        network, acquired, loaded, shown, found.precision
    )
    there = {}
    trained = network_batches.files_by_condition(files["there"], network_batches.groups_of(study))
    for id in trained.keys() & {condition.id for condition in shown[1:]}:
        other, _ = networks.load_first(trained[id], {"condition": id}, parts)
        _, predicted, dice = evaluation.examples(
            other, acquired, loaded, [Condition.parse(id)], found.precision
        )
        there[id] = predicted[id], dice[id]
    return Examples(
        train=found.condition,
        images=images,
        masks={one.id: loaded.under(one).masks[:, 0].cpu().numpy() for one in shown},
        predictions=predictions,
        scores=scores,
        there=there,
        pixel_size_A={one.id: structures.microscope.under(one).pixel_size_A for one in shown},
        labels={one.id: style.condition_label(one) for one in shown},
    )
