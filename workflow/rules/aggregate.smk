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
        version=STAGES["aggregate"],
        # The test specimens are not among these: if they change, the records are made again.
        settings=STUDY.condition_settings("train", "test")
        | {"trained specimens": TRAINED}
        | RECIPES.settings(
            "study.replicas",
            "study.replicas_per_job",
            "study.conditions_per_job",
            "study.allow_incomplete",
            "training.architectures",
            "evaluation.test_own",
        ),
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
        settings=RECIPES.settings("evaluation.confidence")
        # Only whether there are intervals matters here.
        | {"evaluation.bootstrap": "above 0" if STUDY.evaluation.bootstrap else 0}
        | RECIPES.code("ood_metric"),
    script:
        "../scripts/ood.py"
