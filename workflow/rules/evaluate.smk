rule evaluate:
    input:
        weights=rules.train.output.weights,
        waves=[file for specimen in STUDY.specimens for file in shards(specimen, "test")],
    output:
        RECORD,
    log:
        f"{RESULTS}/logs/evaluate/{NETWORK}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate/{NETWORK}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: EVALUATE_MB[wildcards.architecture] * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        version=STAGES["evaluate"],
        seed=STUDY.study.seed,
        microscope=IMAGING,
        test=STUDY.test_axes,
        # So that only cells that are new are computed. update(…) would not do: after a job has failed,
        # Snakemake (9.27) takes the old record for the new one.
        kept=f"{KEPT}/records/{NETWORK}.zarr.zip",
        waves={specimen: shards(specimen, "test") for specimen in STUDY.specimens},
    script:
        "../scripts/evaluate.py"
