from passband.learning import memory
from passband.wave_sets import WaveSet

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
        version=STAGES["simulate"],
        seed=STUDY.study.seed,
        specimen=lambda wildcards: wave_layout.specimen_params(
            STUDY, wildcards.specimen, wildcards.waves
        ),
        # The digest of the crystal file's content. The file's path and date do not show a change.
        crystal=lambda wildcards: STUDY.specimens[wildcards.specimen].content,
        microscope=lambda wildcards: STUDY.microscope.under(
            WaveSet.parse(wildcards.waves.rstrip("/"))
        ).exit_wave_params(),
        structures=lambda wildcards: wave_layout.structures_of_shard(
            STUDY, wildcards.split, wildcards.shard
        ),
        cache=f"{RESULTS}/{layout.cache(layout.WAVES)}",
    script:
        "../scripts/simulate.py"
