rule figure_ctf:
    output:
        figure("ctf"),
    log:
        LOGS["figure"].format(figure="ctf"),
    benchmark:
        BENCHMARKS["figure"].format(figure="ctf")
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 15 * attempt,
    params:
        version=STAGES["figures"],
        settings=RECIPES.settings(
            "figures.dpi", "figures.width_cm", microscope=STUDY.microscope.lens_params()
        )
        | STUDY.condition_settings("train")
        | {"lattice spacings": STUDY.spacings},
    script:
        "../scripts/figure_ctf.py"


rule figure_matrix:
    input:
        ood=rules.ood.output[0],
    output:
        figure("matrix"),
    log:
        LOGS["figure"].format(figure="matrix"),
    benchmark:
        BENCHMARKS["figure"].format(figure="matrix")
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 15 * attempt,
    params:
        version=STAGES["figures"],
        settings=RECIPES.settings("figures.dpi", "figures.width_cm"),
    script:
        "../scripts/figure_table.py"


use rule figure_matrix as figure_decay with:
    output:
        figure("decay"),
    log:
        LOGS["figure"].format(figure="decay"),
    benchmark:
        BENCHMARKS["figure"].format(figure="decay")


use rule figure_matrix as figure_metrics with:
    input:
        ood=rules.ood.output[0],
        information=rules.information.output[0],
    output:
        figure("metrics"),
    log:
        LOGS["figure"].format(figure="metrics"),
    benchmark:
        BENCHMARKS["figure"].format(figure="metrics")


# This figure is not part of `all`. To make the figure, name its file as a target.
use rule figure_matrix as figure_structure with:
    input:
        ood=rules.ood.output[0],
        information=rules.information.output[0],
        distances=rules.distances.output[0],
    output:
        figure("structure"),
    log:
        LOGS["figure"].format(figure="structure"),
    benchmark:
        BENCHMARKS["figure"].format(figure="structure")


rule figure_examples:
    input:
        ood=rules.ood.output[0],
        weights=below_results([EXAMPLE.job.path(layout.WEIGHTS)]) if EXAMPLE else [],
        # The network that was trained under each condition that the figure may show.
        there=below_results(shown_networks.example_networks(STUDY, EXAMPLE, is_counted)),
        waves=test_shards(wave_layout.waves_of([EXAMPLE.condition] if EXAMPLE else []))[TRAINED[0]],
    output:
        figure("examples"),
    log:
        LOGS["figure"].format(figure="examples"),
    benchmark:
        BENCHMARKS["figure"].format(figure="examples")
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 15 * attempt,
    params:
        version=STAGES["figures"],
        settings=RECIPES.settings(
            "study.seed",
            "study.conditions_per_job",
            "figures.examples",
            "figures.dpi",
            "figures.width_cm",
            microscope=STUDY.microscope.imaging_params(),
        )
        | {"condition": EXAMPLE and EXAMPLE.condition},
    script:
        "../scripts/figure_examples.py"


use rule figure_matrix as figure_prediction with:
    input:
        prediction=rules.prediction.output[0],
    output:
        figure("prediction"),
    log:
        LOGS["figure"].format(figure="prediction"),
    benchmark:
        BENCHMARKS["figure"].format(figure="prediction")
