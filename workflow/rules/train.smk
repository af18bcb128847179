rule train:
    input:
        train=lambda wildcards: shards(wildcards.specimen, "train"),
        val=lambda wildcards: shards(wildcards.specimen, "val"),
    output:
        weights=f"{RESULTS}/networks/{NETWORK}.safetensors",
        history=f"{RESULTS}/networks/{NETWORK}.csv",
    log:
        f"{RESULTS}/logs/train/{NETWORK}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/{NETWORK}.tsv"
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=120,
    params:
        version=STAGES["train"],
        seed=STUDY.study.seed,
        microscope=STUDY.microscope.model_dump(),
        training=STUDY.training.model_dump(exclude={"architectures"}),
        replicas=lambda wildcards: BATCHES[wildcards.batch],
        # Finished replicas of an interrupted job: not an output, which Snakemake would delete.
        unfinished=f"{RESULTS}/unfinished/{NETWORK}",
    script:
        "../scripts/train.py"
