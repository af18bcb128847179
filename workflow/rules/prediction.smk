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
        **STUDY.condition_params("train", "test"),
        version=STAGES["prediction"],
        seed=STUDY.study.seed,
        # The profiles of the conditions, see the rule `information`.
        microscope=STUDY.microscope.transfer_params(),
        specimens=TRAINED,
        waves=WEIGHTED_BY,
        bootstrap=STUDY.evaluation.bootstrap,
        confidence=STUDY.evaluation.confidence,
    script:
        "../scripts/prediction.py"
