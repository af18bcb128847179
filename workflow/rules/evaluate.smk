from passband.learning import memory

# Memory [MB] that an `evaluate` job requests, by architecture.
EVALUATE_MB = {name: memory.evaluate_mb(STUDY, name) for name in STUDY.training.architectures}


rule evaluate:
    input:
        weights=rules.train.output.weights,
        waves=lambda wildcards: evaluated_shards(evaluated_waves(wildcards)),
    output:
        # Only new results of the record are computed. There is no update(…): after a job has failed,
        # Snakemake (9.27) would accept the old record as the new one.
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
        settings=RECIPES.tests,
        recipes=lambda wildcards: result_recipes(evaluated_waves(wildcards), wildcards.architecture),
    script:
        "../scripts/evaluate.py"
