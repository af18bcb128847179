rule figure_ctf:
    output:
        figure("ctf"),
    log:
        f"{RESULTS}/logs/figures/ctf.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/ctf.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 15 * attempt,
    params:
        version=STAGES["figures"],
        microscope=TRANSFER,
        train=STUDY.grid.axes(),
        palette=STUDY.figures.palette,
        dpi=STUDY.figures.dpi,
    script:
        "../scripts/figure_ctf.py"


rule figure_matrix:
    input:
        ood=rules.ood.output[0],
    output:
        figure("matrix"),
    log:
        f"{RESULTS}/logs/figures/matrix.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/matrix.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 15 * attempt,
    params:
        version=STAGES["figures"],
        palette=STUDY.figures.palette,
        dpi=STUDY.figures.dpi,
    script:
        "../scripts/figure_table.py"


use rule figure_matrix as figure_decay with:
    output:
        figure("decay"),
    log:
        f"{RESULTS}/logs/figures/decay.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/decay.tsv"


use rule figure_matrix as figure_metrics with:
    input:
        ood=rules.ood.output[0],
        information=rules.information.output[0],
    output:
        figure("metrics"),
    log:
        f"{RESULTS}/logs/figures/metrics.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/metrics.tsv"


# Of what `all` does not make: asked for by name.
use rule figure_matrix as figure_structure with:
    input:
        ood=rules.ood.output[0],
        information=rules.information.output[0],
        distances=rules.distances.output[0],
    output:
        figure("structure"),
    log:
        f"{RESULTS}/logs/figures/structure.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/structure.tsv"


rule figure_examples:
    input:
        ood=rules.ood.output[0],
        weights=expand(rules.train.output.weights, **(EXAMPLE or {})) if EXAMPLE else [],
        waves=shards(TRAINED[0], "test"),
    output:
        figure("examples"),
    log:
        f"{RESULTS}/logs/figures/examples.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/examples.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 15 * attempt,
    params:
        version=STAGES["figures"],
        seed=STUDY.study.seed,
        microscope=IMAGING,
        structures=STUDY.figures.examples,
        dpi=STUDY.figures.dpi,
    script:
        "../scripts/figure_examples.py"


use rule figure_matrix as figure_prediction with:
    input:
        prediction=rules.prediction.output[0],
    output:
        figure("prediction"),
    log:
        f"{RESULTS}/logs/figures/prediction.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/prediction.tsv"


use rule figure_matrix as figure_smoothness with:
    input:
        prediction=rules.prediction.output[0],
    output:
        figure("smoothness"),
    log:
        f"{RESULTS}/logs/figures/smoothness.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/smoothness.tsv"


use rule figure_matrix as figure_design with:
    input:
        prediction=rules.prediction.output[0],
    output:
        figure("design"),
    log:
        f"{RESULTS}/logs/figures/design.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/design.tsv"
