from passband.learning import memory

# Memory [MB] that a `train` job requests, by architecture.
TRAIN_MB = {name: memory.train_mb(STUDY, name) for name in STUDY.training.architectures}


rule train:
    input:
        train=lambda wildcards: shards(wildcards.specimen, "train", GROUPS[wildcards.condition]),
        val=lambda wildcards: shards(wildcards.specimen, "val", GROUPS[wildcards.condition]),
    output:
        weights=f"{RESULTS}/{layout.WEIGHTS}",
        history=f"{RESULTS}/{layout.HISTORY}",
    log:
        LOGS["train"],
    benchmark:
        BENCHMARKS["train"]
    wildcard_constraints:
        specimen="|".join(map(re.escape, TRAINED)),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: TRAIN_MB[wildcards.architecture] * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        settings=RECIPES.training.params,
        recipes=lambda wildcards: [
            RECIPES.networks(wildcards.specimen, wildcards.architecture, id).digest
            for id in GROUPS[wildcards.condition]
        ],
    script:
        "../scripts/train.py"
