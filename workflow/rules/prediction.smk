# How well the matrix is predicted. Distances are a further predictor where someone asked for them.


rule prediction:
    input:
        table=rules.aggregate.output[0],
        ood=rules.ood.output[0],
        information=rules.information.output[0],
        distances=rules.distances.output[0] if exists(rules.distances.output[0]) else [],
    output:
        directory(f"{RESULTS}/prediction.zarr"),
    log:
        f"{RESULTS}/logs/prediction.log",
    benchmark:
        f"{RESULTS}/benchmarks/prediction.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        version=STAGES["prediction"],
        seed=STUDY.study.seed,
        bootstrap=STUDY.evaluation.bootstrap,
        confidence=STUDY.evaluation.confidence,
    script:
        "../scripts/prediction.py"
