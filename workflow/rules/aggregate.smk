rule aggregate:
    input:
        RECORDS,
    output:
        directory(f"{RESULTS}/table.zarr"),
    log:
        f"{RESULTS}/logs/aggregate.log",
    benchmark:
        f"{RESULTS}/benchmarks/aggregate.tsv"
    conda:
        ENVIRONMENT
    # Nothing else is left to run beside it.
    threads: 4
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        version=STAGES["aggregate"],
        record=lambda wildcards: RECORD,
        specimens=list(STUDY.specimens),
        architectures=STUDY.training.architectures,
        train=STUDY.grid.axes(),
        test=STUDY.test_axes,
        batches=BATCHES,
        allow_incomplete=STUDY.study.allow_incomplete,
    script:
        "../scripts/aggregate.py"


rule ood:
    input:
        table=rules.aggregate.output[0],
        information=rules.information.output[0],
    output:
        directory(f"{RESULTS}/ood.zarr"),
    log:
        f"{RESULTS}/logs/ood.log",
    benchmark:
        f"{RESULTS}/benchmarks/ood.tsv"
    conda:
        ENVIRONMENT
    # Nothing else is left to run beside it.
    threads: 4
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        version=STAGES["aggregate"],
        seed=STUDY.study.seed,
        bootstrap=STUDY.evaluation.bootstrap,
        confidence=STUDY.evaluation.confidence,
    script:
        "../scripts/ood.py"
