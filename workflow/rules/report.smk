# The pages of the study: the report, and the explorer. The report's job reads the stores and the
# figures, and also logs, benchmarks and histories of training, which are no inputs: a finished
# study must not train again if one of these files is lost.
rule report:
    input:
        FIGURE_FILES,
        table=rules.aggregate.output[0],
        ood=rules.ood.output[0],
        information=rules.information.output[0],
        prediction=rules.prediction.output[0] if PREDICTED else [],
    output:
        f"{RESULTS}/{layout.REPORT}",
    log:
        LOGS["report"],
    benchmark:
        BENCHMARKS["report"]
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        version=STAGES["report"],
        settings=RECIPES.shown_figures(FIGURES),
    script:
        "../scripts/report.py"


# No rule waits for the explorer, and it comes last: `passband run --no-explorer` leaves out its job
# alone. What it shows besides the stores, such as exit waves and weights, is no input, for the
# reason above.
rule explorer:
    input:
        report=ancient(rules.report.output[0]),  # which it only links to
        table=rules.aggregate.output[0],
        ood=rules.ood.output[0],
        information=rules.information.output[0],
    output:
        f"{RESULTS}/{layout.EXPLORER}",
    log:
        LOGS["explorer"],
    benchmark:
        BENCHMARKS["explorer"]
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        version=STAGES["explorer"],
    script:
        "../scripts/explorer.py"
