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
        settings=RECIPES.information,
    script:
        "../scripts/information.py"
