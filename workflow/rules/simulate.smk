rule simulate:
    output:
        f"{RESULTS}/waves/{{specimen}}/{{split}}/{{shard}}.zarr.zip",
    log:
        f"{RESULTS}/logs/simulate/{{specimen}}/{{split}}/{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/simulate/{{specimen}}/{{split}}/{{shard}}.tsv"
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        version=STAGES["simulate"],
        seed=STUDY.study.seed,
        specimen=lambda wildcards: STUDY.specimens[wildcards.specimen].model_dump(),
        microscope=values(STUDY.microscope, "energy_kev", "pixel_size_A", "field_px"),
        structures=lambda wildcards: getattr(STUDY.study.structures, wildcards.split),
        per_shard=STUDY.study.structures_per_shard,
    script:
        "../scripts/simulate.py"
