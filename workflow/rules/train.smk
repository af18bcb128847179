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
    wildcard_constraints:
        specimen="|".join(map(re.escape, TRAINED)),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: TRAIN_MB[wildcards.architecture] * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        version=STAGES["train"],
        seed=STUDY.study.seed,
        microscope=IMAGING,
        training=TRAINING,
        replicas=lambda wildcards: BATCHES[wildcards.batch],
        kept=f"{KEPT}/networks/{NETWORK}.safetensors",
        # The state an interrupted job goes on from: not an output, which Snakemake would delete.
        unfinished=f"{RESULTS}/unfinished/{NETWORK}".replace("}/{", "}_{"),
    script:
        "../scripts/train.py"
