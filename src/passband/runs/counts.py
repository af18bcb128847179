"""Counts a study's jobs, steps, images and files from its configuration."""

from collections import Counter
from dataclasses import dataclass

from passband.config import Study
from passband.grid import batches
from passband.groups import conditions_per_file
from passband.learning.memory import SHARED_BYTES

#: The rules whose jobs grow with the study; those of the others hardly do.
GROWING = ("simulate", "train", "evaluate")
#: Number of files in the stores of metrics and of the table that do not grow with the study.
_FILES_OF_STORES = 175
#: Number of files in the store of the prediction.
_FILES_OF_PREDICTION = 65
#: Number of the table's variables that have files for each training condition.
_VARIABLES_BY_ROW = 2


@dataclass(frozen=True)
class Counts:
    """Numbers of a study's jobs, networks, steps, images and files.

    Attributes:
        jobs: Number of jobs by rule.
        cells: Number of combinations of training specimen, architecture and training condition.
        trainings: Number of pairs of a cell and a batch of replicas. A `train` job has one training
            for each of its conditions.
        networks, steps_per_network: Number of networks, and number of optimizer steps of each
            network.
        trained_on: Number of images that a `train` job forms for each training if all images fit
            into its memory.
        tested_on: Number of images that a network is tested on. With `evaluation.test_own`, the
            number is larger for the networks whose training condition is no test condition; then it
            is the mean over all networks.
        formed: Number of images that all `evaluate` jobs form. The conditions of a job share the
            images that fit into the memory for them.
        drawn: Number of images for which all `train` jobs together draw noise.
        mixed: Number of noise-free images that all `train` jobs together form for networks of
            mixtures, whose replicas share no images.
        files: Number of files under ``results/<study>/``, to within 10%.
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
    files: int

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
    # All replicas and epochs use the same noise-free images, unless each image has its own lens.
    new_images = training.noise == "fresh" and study.microscope.varies
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
    jobs["figure"] = len(study.drawn)
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


def _files(study: Study, jobs: Counter) -> int:
    """Return the number of a study's files."""
    rows = -(-study.train_number // conditions_per_file(study.train_number))
    rows *= len(study.trained_specimens) * len(study.training.architectures)
    # Each output of a job that takes long has a second name in the study's store. A network has a
    # file with the history of its training.
    outputs = 2 * jobs["simulate"] + 3 * jobs["train"] + 2 * jobs["evaluate"]
    return (
        outputs
        + 2 * sum(jobs.values())  # logs and benchmarks
        + jobs["figure"] * len(study.figures.formats)
        + _FILES_OF_STORES
        + _FILES_OF_PREDICTION * jobs["prediction"]
        + _VARIABLES_BY_ROW * (1 + study.evaluation.test_own) * rows
    )


def structures(study: Study, specimen: str) -> int:
    """Return the number of simulated structures of a specimen, in all sets of exit waves."""
    return sum(
        len(study.waves(specimen, split)) * getattr(study.study.structures, split)
        for split in study.specimens[specimen].splits
    )
