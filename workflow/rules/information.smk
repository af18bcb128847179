rule information:
    input:
        [file for files in WEIGHTED_BY.values() for file in files],
    output:
        directory(f"{RESULTS}/information.zarr"),
    log:
        f"{RESULTS}/logs/information.log",
    benchmark:
        f"{RESULTS}/benchmarks/information.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        version=STAGES["information"],
        seed=STUDY.study.seed,
        microscope=LINEAR,
        train=STUDY.grid.axes(),
        test=STUDY.test_axes,
        weights=STUDY.information.weights,
        bands=STUDY.information.bands_per_A,
        flat_power=STUDY.information.flat_power_A2,
        samples=STUDY.information.samples,
        draws=STUDY.information.draws,
        waves=WEIGHTED_BY,
    script:
        "../scripts/information.py"
