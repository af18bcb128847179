from passband.learning import memory

# Memory [MB] that an `evaluate` job requests, by architecture.
EVALUATE_MB = {name: memory.evaluate_mb(STUDY, name) for name in STUDY.training.architectures}


rule evaluate:
    input:
        weights=rules.train.output.weights,
        waves=lambda wildcards: flat(evaluated_shards(wildcards)),
    output:
        RECORD,
    log:
        LOGS["evaluate"],
    benchmark:
        BENCHMARKS["evaluate"]
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: EVALUATE_MB[wildcards.architecture] * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        **OWN_CONDITIONS,
        **STUDY.condition_params("test"),
        **STUDY.evaluation.identity(only=("test_own",)),
        version=STAGES["evaluate"],
        seed=STUDY.study.seed,
        microscope=STUDY.microscope.imaging_params(),
        # Only new cells of the record are computed. The output has no update(…): after a job has
        # failed, Snakemake (9.27) would accept the old record as the new one.
        cache=f"{RESULTS}/{layout.stored(layout.RECORD)}",
        waves=evaluated_shards,
    script:
        "../scripts/evaluate.py"
