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
        settings=RECIPES.table,
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
        settings=RECIPES.ood,
    script:
        "../scripts/ood.py"
