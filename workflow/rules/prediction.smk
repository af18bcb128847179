# Predictions of the matrix of Dice where the process has seen nothing, and their errors.


rule prediction:
    input:
        table=rules.aggregate.output[0],
        waves=rules.information.input,
    output:
        directory(f"{RESULTS}/{layout.PREDICTION}"),
    log:
        LOGS["prediction"],
    benchmark:
        BENCHMARKS["prediction"]
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        version=STAGES["prediction"],
        settings=RECIPES.prediction,
    script:
        "../scripts/prediction.py"
