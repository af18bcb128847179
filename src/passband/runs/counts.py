"""Counts a study's jobs, steps, images, files and bytes from its configuration."""

from collections import Counter
from dataclasses import dataclass

from passband.analysis import information
from passband.axes import MAIN_AXES
from passband.config import Study
from passband.grid import batches
from passband.groups import conditions_per_file
from passband.learning.memory import SHARED_BYTES
from passband.results.layout import EXPLORER, INFORMATION, OOD, PREDICTION, REPORT, TABLE

#: The rules whose jobs grow with the study; those of the others hardly do.
GROWING = ("simulate", "train", "evaluate")
#: Rows of `passband plan` that several files share.
_METRICS, _PAGES = f"{OOD}, {INFORMATION}", f"figures, {REPORT}"

#: Bytes of a stored count of pixels (4 before compression). The value was measured on counts of
#: very different size.
_COUNT_BYTES = 2.0
#: Bytes of attributes and metadata in a file of exit waves, and in a record; bytes of a log, of the
#: history of a training, and of all figures.
_SHARD_BYTES, _RECORD_BYTES, _JOB_BYTES, _HISTORY_BYTES = 11_000, 11_000, 1_000, 15_000
_FIGURES_BYTES = 2_000_000
#: Bytes of the report besides the figures, and of its data for each pair of conditions.
_REPORT_BYTES, _REPORT_PAIR_BYTES = 200_000, 130
#: The report has no table above 900,000 values: 17 for each pair of conditions.
_REPORT_PAIRS = 900_000 // 17
#: Bytes of the explorer besides its matrices and images, of all matrices for each pair of
#: conditions, and of an image's pixel; and the largest numbers of these bytes and pixels.
_EXPLORER_BYTES = 140_000
_EXPLORER_PAIR_BYTES = 20
_EXPLORER_PX_BYTES = 1.3
_EXPLORER_MATRICES = 8_000_000
_EXPLORER_PX = 600_000
#: Number of arrays of prediction.zarr, which have one chunk each; and the bytes of
#: prediction.zarr without those arrays whose size grows with the number of conditions.
_PREDICTION_ARRAYS = 30
_PREDICTION_BYTES = 60_000

# Numbers of arrays in the study's stores. The settings determine which arrays a store has, and each
# further axis is two more arrays of conditions.
_CONDITIONS = 2 * (1 + len(MAIN_AXES))  # ids and values, of training and of testing
_NETWORKS = 3 + _CONDITIONS  # also specimen, architecture and test specimen
_TABLE = _NETWORKS + 5
# In the table, these have one chunk for each specimen, architecture and training condition: counts
# and Dice; those of own conditions.
_TABLE_CELLS, _TABLE_OWN = 2, 2
_OOD, _OOD_REPLICAS, _OOD_BOOTSTRAP = _NETWORKS + 12, 2, 10
_INFORMATION = _CONDITIONS + 1  # besides the metrics


@dataclass(frozen=True)
class Counts:
    """Numbers of a study's jobs, networks, steps, images and files.

    Attributes:
        jobs: Number of jobs by rule.
        cells: Number of combinations of training specimen, architecture and training condition.
        trainings: Number of pairs of a cell and a batch of replicas. A `train` job has one training
            for each of its conditions.
        networks, steps_per_network: Number of networks, and number of optimizer steps of each
            network. If `training.patience` ends a training early, the network has fewer steps.
        trained_on: Number of images that a `train` job forms for each training if all images fit
            into its memory.
        tested_on: Number of images that a network is tested on. With `evaluation.test_own`, the
            number is larger for the networks whose training condition is no test condition; then it
            is the mean over all networks.
        formed: Number of images that all `evaluate` jobs form. The conditions of a job share the
            images that fit into the memory for them.
        drawn: Number of images for which all `train` jobs together draw noise. If
            `training.patience` ends a training early, noise is drawn for fewer images.
        mixed: Number of noise-free images that all `train` jobs together form for networks of
            mixtures, whose replicas share no images.
        files: Number of files by folder under ``results/<study>/``.
    """

    jobs: dict[str, int]
    cells: int
    trainings: int
    networks: int
    steps_per_network: int
    trained_on: int
    tested_on: float
    formed: int
    drawn: int
    mixed: int
    files: dict[str, int]

    @property
    def others(self) -> dict[str, int]:
        """The numbers of jobs of the rules that are not :data:`GROWING`."""
        return {rule: number for rule, number in self.jobs.items() if rule not in GROWING}


def count(study: Study) -> Counts:
    """Return the numbers of a study's jobs, networks, steps, images and files."""
    block, training = study.study, study.training
    split, train, test = block.structures, study.train_number, study.test_number
    jobs = _jobs(study)
    cells = len(study.trained_specimens) * train * len(training.architectures)
    networks = cells * block.replicas
    trainings = cells * -(-block.replicas // block.replicas_per_job)
    # Each replica of a mixture has its own conditions, and so its own noise-free images.
    mixed = len(study.trained_specimens) * len(training.architectures) * block.replicas
    mixed *= study.mixture_number
    # All replicas and epochs use the same noise-free images, unless jitter changes each image.
    new_images = training.noise == "fresh" and study.microscope.jitter.varies
    return Counts(
        jobs=dict(jobs),
        cells=cells,
        trainings=trainings,
        networks=networks,
        steps_per_network=study.steps,
        trained_on=split.train * (training.epochs if new_images else 1) + split.val,
        tested_on=len(study.specimens) * split.test * (test + study.own_number / train),
        formed=_formed(study),
        mixed=training.epochs * split.train * mixed,
        drawn=training.epochs * (networks * split.train + trainings * split.val),
        files=_files(study, jobs),
    )


def _jobs(study: Study) -> Counter:
    """Return the number of jobs by rule, without jobs on request.

    The numbers are products: a study may have a million jobs, and `passband check` lists none.
    """
    block = study.study
    pairs = len(study.trained_specimens) * len(study.training.architectures)
    batches = -(-block.replicas // block.replicas_per_job)
    groups = study.group_number
    jobs = Counter(
        simulate=study.number_of_shards(),
        train=pairs * groups * batches,
        evaluate=pairs * groups * batches,
    )
    jobs.update(("information", "aggregate", "ood"))
    if study.predictable:
        jobs["prediction"] = 1
    jobs.update(f"figure_{name}" for name in study.drawn)
    jobs.update(("report", "explorer"))
    return jobs


def _formed(study: Study) -> int:
    """Return the number of images that all `evaluate` jobs form, some of them shared."""
    block, limit = study.study, SHARED_BYTES // (4 * study.microscope.field_px**2)
    of_condition = len(study.specimens) * block.structures.test
    images = of_condition * study.test_number
    shared = min(images, limit)
    formed = study.group_number * shared + study.train_number * (images - shared)
    formed += of_condition * study.own_number
    formed *= len(batches(block.replicas, block.replicas_per_job))
    return len(study.trained_specimens) * len(study.training.architectures) * formed


def _files(study: Study, jobs: Counter) -> dict[str, int]:
    """Return the number of a study's files in each folder."""
    ood = _OOD + _OOD_REPLICAS * (study.study.replicas > 1)
    ood += _OOD_BOOTSTRAP * (study.evaluation.bootstrap > 0)
    metrics = _INFORMATION + 2 * len(information.SINGLE) + len(information.PAIR)
    # Files of each variable of the table that has values for each training condition.
    rows = -(-study.train_number // conditions_per_file(study.train_number))
    rows *= len(study.trained_specimens) * len(study.training.architectures)
    cells = _TABLE_CELLS + _TABLE_OWN * study.evaluation.test_own
    further = 2 * len(study.axes.own)
    single = _TABLE + further
    files = {
        "waves": jobs["simulate"],
        "networks": 2 * jobs["train"],
        "records": jobs["evaluate"],
        TABLE: _store(single)
        + cells * (1 + rows)
        # Zarr stores no chunk of zeros: the number of an only replica.
        - (study.study.replicas == 1),
        _METRICS: _store(ood + further) + _store(metrics + further),
    }
    if jobs["prediction"]:
        files[PREDICTION] = _store(_PREDICTION_ARRAYS + further)
    drawn = sum(name.startswith("figure_") for name in jobs)
    files[_PAGES] = drawn * len(study.figures.formats) + jobs["report"]
    files[EXPLORER] = jobs["explorer"]
    cached = jobs["simulate"] + jobs["train"] + jobs["evaluate"]
    return files | {"logs, benchmarks": 2 * sum(jobs.values()), "cache": cached}


def _store(arrays: int) -> int:
    """Return the number of files of a store whose arrays have one chunk each.

    A store has one file of metadata, one of checksums, and one that Snakemake writes. An array has
    one file of metadata and one chunk.
    """
    return 3 + 2 * arrays


def structures(study: Study, specimen: str) -> int:
    """Return the number of simulated structures of a specimen, in all sets of exit waves."""
    return sum(
        len(study.waves(specimen, split)) * getattr(study.study.structures, split)
        for split in study.specimens[specimen].splits
    )


def _example_px(study: Study) -> int:
    """Return the number of pixels of the explorer's images, of which there are only some."""
    groups = len(study.trained_specimens) * len(study.training.architectures)
    images = min(study.test_number, 16) * min(study.study.structures.test, 2)
    return groups * images * study.microscope.field_px**2


def sizes(
    study: Study, wave_bytes: dict[str, float], weight_bytes: dict[str, float]
) -> dict[str, float]:
    """Return the bytes that a study writes, by the same names as :attr:`Counts.files`.

    Args:
        wave_bytes, weight_bytes: For each specimen, the bytes of a structure in a file; for each
            architecture, the bytes of a network in a file.
    """
    counted = count(study)
    waves = sum(structures(study, name) * wave_bytes[name] for name in study.specimens)
    kinds = len(study.training.architectures)
    images = counted.networks * counted.tested_on
    pixels = 3 * _COUNT_BYTES * images
    pairs = counted.cells * len(study.specimens) * study.test_number
    spectra = len(study.trained_specimens)
    bands = len(study.information.bands_per_A)
    compared = study.train_number * study.test_number * len(information.PAIR)
    compared *= 1 + spectra * (1 + (bands + 1 if bands else 0))  # by weight of frequencies
    weights = counted.networks / kinds * sum(weight_bytes.values())
    matrices = 3 + 6 * (study.evaluation.bootstrap > 0)  # Dice, gaps, and limits of the intervals
    return {
        "waves": waves + counted.files["waves"] * _SHARD_BYTES,
        "networks": weights + counted.trainings * _HISTORY_BYTES,
        "records": pixels + counted.jobs["evaluate"] * _RECORD_BYTES,
        TABLE: pixels + counted.files[TABLE] * 600,
        _METRICS: 8 * (pairs * matrices + compared) + 100_000,
        # Dice, and its predictions with levels of each axis left out of training and of tests.
        **(
            {PREDICTION: (1 + 2 * len(study.axes.names)) * 4.0 * pairs + _PREDICTION_BYTES}
            if study.predictable
            else {}
        ),
        _PAGES: _FIGURES_BYTES
        + _REPORT_BYTES
        + float(_REPORT_PAIR_BYTES * min(study.train_number * study.test_number, _REPORT_PAIRS)),
        EXPLORER: _EXPLORER_BYTES
        + min(_EXPLORER_PAIR_BYTES * pairs, _EXPLORER_MATRICES)
        + _EXPLORER_PX_BYTES * min(_example_px(study), _EXPLORER_PX),
        "logs, benchmarks": counted.files["logs, benchmarks"] * _JOB_BYTES / 2,
        "cache": 0.0,  # second names of files, see :mod:`passband.jobs.reuse`
    }
