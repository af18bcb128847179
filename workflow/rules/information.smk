from passband.analysis import information

WEIGHTED_BY = {
    specimen: below_results(wave_layout.spectrum_shards(STUDY, specimen)) for specimen in TRAINED
}


rule information:
    input:
        flat(WEIGHTED_BY),
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
        **STUDY.condition_params("train", "test"),
        **STUDY.mixture_params(),
        version=STAGES["information"],
        seed=STUDY.study.seed,
        microscope=STUDY.microscope.transfer_params(),
        bands=STUDY.information.bands_per_A,
        # If a new metric is registered, this param changes and the rule runs again.
        metrics=information.names(),
        waves=WEIGHTED_BY,
    script:
        "../scripts/information.py"
