# Predictions of the matrix of Dice, and the errors of these predictions. If `distances.predict` is
# true, distances are features too.


rule prediction:
    input:
        table=rules.aggregate.output[0],
        ood=rules.ood.output[0],
        information=rules.information.output[0],
        distances=rules.distances.output[0] if STUDY.distances.predict else [],
        waves=rules.information.input,
    output:
        directory(f"{RESULTS}/{layout.PREDICTION}"),
    log:
        LOGS["prediction"],
    benchmark:
        BENCHMARKS["prediction"]
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        **STUDY.condition_params("train", "test"),
        version=STAGES["prediction"],
        seed=STUDY.study.seed,
        # The profiles of the conditions, see the rule `information`.
        microscope=STUDY.microscope.transfer_params(),
        specimens=TRAINED,
        flat_power=STUDY.information.flat_power_A2,
        draws=STUDY.information.draws,
        waves=WEIGHTED_BY,
        bootstrap=STUDY.evaluation.bootstrap,
        confidence=STUDY.evaluation.confidence,
    script:
        "../scripts/prediction.py"
