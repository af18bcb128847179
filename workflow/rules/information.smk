rule information:
    input:
        waves=[file for specimen in STUDY.specimens for file in shards(specimen, "train")],
    output:
        directory(f"{RESULTS}/information.zarr"),
    log:
        f"{RESULTS}/logs/information.log",
    benchmark:
        f"{RESULTS}/benchmarks/information.tsv"
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        version=STAGES["information"],
        microscope=STUDY.microscope.model_dump(),
        train=STUDY.grid.axes(),
        test=STUDY.test_axes,
        weights=STUDY.information.weights,
        samples=STUDY.information.samples,
        waves={specimen: shards(specimen, "train") for specimen in STUDY.specimens},
    script:
        "../scripts/information.py"
