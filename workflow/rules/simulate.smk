rule simulate:
    output:
        f"{RESULTS}/waves/{{specimen}}/{{split}}/{{shard}}.zarr.zip",
    log:
        f"{RESULTS}/logs/simulate/{{specimen}}/{{split}}/{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/simulate/{{specimen}}/{{split}}/{{shard}}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        version=STAGES["simulate"],
        seed=STUDY.study.seed,
        specimen=lambda wildcards: inactive(STUDY.specimens[wildcards.specimen], "trained"),
        # No path says what is in a file, and no date of it whether that has changed.
        crystal=lambda wildcards: STUDY.specimens[wildcards.specimen].content,
        microscope=values(STUDY.microscope, "energy_kev", "pixel_size_A", "field_px"),
        structures=structures_of_shard,
        kept=f"{KEPT}/waves/{{specimen}}/{{split}}/{{shard}}.zarr.zip",
    script:
        "../scripts/simulate.py"
