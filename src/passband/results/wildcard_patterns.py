"""Regular expressions for the wildcards in the templates of :mod:`passband.results.layout`."""

import re
from collections.abc import Iterable, Mapping, Sequence

from passband.axes import AXES, MAIN_AXES
from passband.config import SPLITS, Study
from passband.grid import Axes, batches
from passband.groups import PATTERN


def of_conditions(products: Sequence[Mapping[str, Sequence[float]]], axes: Axes = Axes.main) -> str:
    """Return a regular expression that matches only the ids of a grid's conditions.

    Snakemake matches thousands of file names against this expression. For each product, the
    expression lists the values of each axis. If it listed all conditions, building the graph of
    jobs would take a third longer.
    """
    return "|".join(dict.fromkeys(_pattern(values, axes) for values in products))


def _pattern(of_axes: Mapping[str, Sequence[float]], axes: Axes) -> str:
    parts = []
    for name, values in of_axes.items():
        kept = [x for x in values if x != axes.own.get(name)]
        choice = "|".join(re.escape(AXES[name].format(value)) for value in kept)
        if name in MAIN_AXES:
            parts.append(f"{'_' if parts else ''}(?:{choice})")
        elif kept:
            parts.append(f"(?:_(?:{choice})){'?' * (len(kept) < len(values))}")
    return "".join(parts)


def of_study(study: Study) -> dict[str, str]:
    """Return a regular expression for each wildcard in the templates of paths."""
    sets = dict.fromkeys([*study.train_waves, *study.test_waves])
    return {
        "specimen": _one_of(study.specimens),
        "split": _one_of(SPLITS),
        "shard": r"\d{5}",
        # Snakemake ignores an empty expression, so the study's own set has an empty group.
        "waves": "(?:)" + "".join(f"|{re.escape(id)}/" for id in sets if id),
        "architecture": _one_of(study.training.architectures),
        "condition": _of_groups(study),
        "figure": _one_of(study.known_parts.of("figure")),
        "batch": _one_of(batches(study.study.replicas, study.study.replicas_per_job)),
    }


def of_images(study: Study) -> dict[str, str]:
    """Return a regular expression for each wildcard that differs in the names of images."""
    replicas = _one_of(map(str, range(study.study.replicas)))
    return {
        # Images with a replica's noise exist only for the training split.
        "split": "train|(?:val|test)(?!.*_replica)",
        # A mixture or a group of conditions has no images.
        "condition": of_conditions([*study.train_products, *study.test_products], study.axes),
        # The replica whose noise the images have, and the number of the draw of this noise. Without
        # these two numbers, the images have the noise of evaluation.
        "whose": rf"|_replica(?:{replicas})_draw(?:0|[1-9]\d*)",
    }


def _of_groups(study: Study) -> str:
    """Return a regular expression for the names of groups of training conditions."""
    ids = of_conditions(study.train_products, study.axes)
    conditions = f"(?:{ids}){PATTERN}" if study.study.conditions_per_job > 1 else ids
    return "|".join([conditions, *(mixture.id for mixture in study.mixtures)])


def _one_of(names: Iterable[str]) -> str:
    return "|".join(map(re.escape, names))
