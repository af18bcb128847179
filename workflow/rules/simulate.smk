from passband.learning import memory

# Memory [MB] and time [min] that a `simulate` job requests.
SIMULATE_MB = memory.simulate_mb(STUDY)
SIMULATE_MINUTES = memory.simulate_minutes(STUDY)


rule simulate:
    output:
        f"{RESULTS}/{layout.WAVES}",
    log:
        LOGS["simulate"],
    benchmark:
        BENCHMARKS["simulate"]
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: SIMULATE_MB * attempt,
        runtime=lambda wildcards, attempt: SIMULATE_MINUTES * attempt,
    params:
        recipe=lambda wildcards: RECIPES.waves(
            wildcards.specimen, wildcards.split, wildcards.waves.rstrip("/")
        ).params,
        structures=lambda wildcards: wave_layout.shard_params(
            STUDY, wildcards.split, wildcards.shard
        ),
    script:
        "../scripts/simulate.py"
