"""Which files of exit waves the conditions of a study need, and the params of the jobs for them.

All paths are relative to the study's folder of results. Every job parses the workflow, so this
module imports no numerical library. :mod:`passband.wave_sets` explains the sets of exit waves.
"""

from collections.abc import Iterable

from passband.config import Microscope, Specimen, Study
from passband.optics.sampling import Sampling
from passband.results.layout import WAVES
from passband.wave_sets import WaveSet, folder_of, wave_set_of


def shards(study: Study, specimen: str, split: str, sets: Iterable[str] = ("",)) -> list[str]:
    """Return the files with the exit waves of one split of a specimen, of sets with these ids."""
    number = -(-getattr(study.study.structures, split) // study.study.structures_per_shard)
    return [
        WAVES.format(specimen=specimen, waves=folder_of(id), split=split, shard=f"{shard:05d}")
        for id in sets
        for shard in range(number)
    ]


def waves_of(conditions: Iterable[str]) -> list[str]:
    """Return the ids of the sets of exit waves of conditions, from the ids of the conditions."""
    return list(dict.fromkeys(wave_set_of(id) for id in conditions))


def evaluated_waves(study: Study, conditions: Iterable[str]) -> list[str]:
    """Return the ids of the sets of exit waves that networks of some conditions are tested with.

    Args:
        conditions: Ids of their training conditions.
    """
    own = waves_of(conditions) if study.evaluation.test_own else []
    return list(dict.fromkeys([*study.tested_waves, *own]))


def spectrum_sets(study: Study, specimen: str) -> dict[str, list[str]]:
    """Return the ids of the sets of exit waves that a specimen's spectrum has, by split.

    Each set of exit waves has its own spectrum: that of the training structures, or that of the
    test structures if no network is trained with these exit waves.
    """
    trained = study.train_waves if study.specimens[specimen].trained else []
    tested = [id for id in study.test_waves if id not in trained]
    return {split: sets for split, sets in (("train", trained), ("test", tested)) if sets}


def spectrum_shards(study: Study, specimen: str) -> list[str]:
    """Return the files with the exit waves that a specimen's spectrum is computed from."""
    sets = spectrum_sets(study, specimen).items()
    return [file for split, ids in sets for file in shards(study, specimen, split, ids)]


def simulated(
    study: Study, specimen: str, waves: str
) -> tuple[Specimen, Microscope, tuple[Specimen, Sampling] | None]:
    """Return the specimen and the microscope of a set of exit waves, and whose particles it has.

    Structures keep the particles of the study's own specimen and pixels, which are returned third
    for another set than the study's own.

    Args:
        waves: Id of the set.
    """
    own = study.specimens[specimen]
    under = WaveSet.parse(waves)
    drawn = (own, study.microscope.sampling) if waves else None
    return own.under(under), study.microscope.under(under), drawn


def structures_of_shard(study: Study, split: str, shard: str) -> range:
    """Return the indices of a shard's structures within the split."""
    first = int(shard) * study.study.structures_per_shard
    number = getattr(study.study.structures, split)
    return range(first, min(first + study.study.structures_per_shard, number))


def shard_params(study: Study, split: str, shard: str) -> dict[str, int]:
    """Return the keys that say which structures are in a shard, as a param of a rule."""
    size = study.study.structures_per_shard
    found = {"study.structures_per_shard": size}
    if len(structures_of_shard(study, split, shard)) < size:
        found[f"study.structures.{split}"] = getattr(study.study.structures, split)
    return found
