rule aggregate:
    input:
        below_results(RECORDS),
    output:
        directory(f"{RESULTS}/{layout.TABLE}"),
    log:
        LOGS["aggregate"],
    benchmark:
        BENCHMARKS["aggregate"]
    conda:
        ENVIRONMENT
    # No other job runs at this time.
    threads: 4
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        **GROUPED,
        **STUDY.condition_params("train", "test"),
        **STUDY.mixture_params(),
        **STUDY.evaluation.identity(only=("test_own",)),
        version=STAGES["aggregate"],
        record=lambda wildcards: RECORD,
        # The test specimens are no param of this rule: if they change, the records are made again.
        specimens=TRAINED,
        architectures=STUDY.training.architectures,
        batches=BATCHES,
        allow_incomplete=STUDY.study.allow_incomplete,
    script:
        "../scripts/aggregate.py"


rule ood:
    input:
        table=rules.aggregate.output[0],
        information=rules.information.output[0],
    output:
        directory(f"{RESULTS}/{layout.OOD}"),
    log:
        LOGS["ood"],
    benchmark:
        BENCHMARKS["ood"]
    conda:
        ENVIRONMENT
    # No other job runs at this time.
    threads: 4
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        version=STAGES["ood"],
        intervals=STUDY.evaluation.bootstrap > 0,
        confidence=STUDY.evaluation.confidence,
    script:
        "../scripts/ood.py"
