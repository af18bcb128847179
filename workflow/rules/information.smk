rule information:
    input:
        [
            file
            for specimen in TRAINED
            for file in below_results(wave_layout.spectrum_shards(STUDY, specimen))
        ],
    output:
        directory(f"{RESULTS}/{layout.INFORMATION}"),
    log:
        LOGS["information"],
    benchmark:
        BENCHMARKS["information"]
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        version=STAGES["information"],
        settings=STUDY.condition_settings("train", "test")
        | RECIPES.settings(
            "study.seed",
            "information.bands_per_A",
            microscope=STUDY.microscope.transfer_params(),
        )
        # If a metric is new, or the code of one of the study's own is changed, this rule runs again.
        | {"metrics": sorted(STUDY.known_parts.of("metric"))}
        | RECIPES.code("metric"),
    script:
        "../scripts/information.py"
