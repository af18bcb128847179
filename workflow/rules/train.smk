from passband.learning import memory

# Memory [MB] that a `train` job requests, by architecture.
TRAIN_MB = {name: memory.train_mb(STUDY, name) for name in STUDY.training.architectures}


rule train:
    input:
        train=lambda wildcards: shards(wildcards.specimen, "train", GROUPS[wildcards.condition]),
        val=lambda wildcards: shards(wildcards.specimen, "val", GROUPS[wildcards.condition]),
    output:
        weights=f"{RESULTS}/{layout.WEIGHTS}",
        history=f"{RESULTS}/{layout.HISTORY}",
    log:
        LOGS["train"],
    benchmark:
        BENCHMARKS["train"]
    wildcard_constraints:
        specimen="|".join(map(re.escape, TRAINED)),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: TRAIN_MB[wildcards.architecture] * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        **OWN_CONDITIONS,
        # With a lens that is not round, structures are turned, and not images.
        version=lambda wildcards: training_jobs.train_version(
            STUDY, GROUPS[wildcards.condition], STAGES["train"]
        ),
        seed=STUDY.study.seed,
        microscope=STUDY.microscope.imaging_params(),
        training=STUDY.training.params(STUDY.study.replicas_per_job),
        replicas=lambda wildcards: BATCHES[wildcards.batch],
        cache=f"{RESULTS}/{layout.cache(layout.WEIGHTS)}",
        # The saved state of an interrupted job. It is no output, since Snakemake would delete it.
        checkpoints=f"{RESULTS}/{layout.CHECKPOINTS}",
    script:
        "../scripts/train.py"
