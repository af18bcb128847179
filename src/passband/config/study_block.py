"""The block `study`: the study as a whole."""

from passband.config.base import Block, Gone, Name, gone, key


class Structures(Block):
    """Number of random structures of each specimen in each split. No structure is in two splits."""

    train: int = key(96, "Number of structures for training.", ge=2, le=1_000_000)
    val: int = key(
        24,
        "Number of structures for validation, which chooses the best epoch.",
        ge=1,
        le=1_000_000,
    )
    test: int = key(24, "Number of structures for tests of networks.", ge=1, le=1_000_000)


class StudyBlock(Block):
    """The study as a whole."""

    name: Name = key("demo", "Name of the study. Results are in `results/<name>`.")
    seed: int = key(
        2512, "Seed from which all random numbers of the study follow.", ge=0, le=2**63 - 1
    )
    structures: Structures = key(Structures, "Number of structures of each specimen in each split.")
    structures_per_shard: int = key(
        64,
        "Number of structures in a shard: a `simulate` job makes one shard, which is one file.",
        ge=1,
        le=100_000,
    )
    replicas: int = key(
        1,
        "Number of networks for each specimen, architecture and training condition. Each network "
        "has its own initial weights, and its own noise, order and augmentation of training "
        "images. All networks have the same validation images and test images.",
        ge=1,
        le=999,
    )
    replicas_per_job: int = key(
        1,
        "Number of replicas in a `train` job and in an `evaluate` job. If you change this number, "
        "new jobs take the networks and their results from the files of earlier jobs.",
        ge=1,
        le=999,
    )
    conditions_per_job: int = key(
        1,
        "Number of training conditions in a `train` job and in an `evaluate` job. Each of these "
        "jobs has `replicas_per_job` networks for each of its conditions, and writes one file of "
        "networks and one file of results. With several conditions, a study of small networks "
        "needs less time to start its jobs, and has fewer files. If you change this number, new "
        "jobs take the networks and their results from the files of earlier jobs.",
        ge=1,
        le=10_000,
    )
    parts: Gone = gone(
        [], "put the part's file into the folder parts beside the study's file", since="0.4.0"
    )
    allow_incomplete: bool = key(
        False,
        "true: the table of results is made from the records that exist, with NaN for missing "
        "networks. false: all networks are trained and tested before the table is made.",
    )
