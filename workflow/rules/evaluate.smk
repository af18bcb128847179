rule evaluate:
    input:
        weights=rules.train.output.weights,
        waves=[file for specimen in STUDY.specimens for file in shards(specimen, "test")],
    output:
        # Kept when a test condition is added, so that only the new cells are computed.
        update(f"{RESULTS}/records/{NETWORK}.zarr.zip"),
    log:
        f"{RESULTS}/logs/evaluate/{NETWORK}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate/{NETWORK}.tsv"
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        version=STAGES["evaluate"],
        seed=STUDY.study.seed,
        microscope=STUDY.microscope.model_dump(),
        test=STUDY.test_axes,
        batch_size=STUDY.evaluation.batch_size,
        waves={specimen: shards(specimen, "test") for specimen in STUDY.specimens},
    script:
        "../scripts/evaluate.py"
