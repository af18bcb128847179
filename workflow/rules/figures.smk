# All figures. What each is drawn from, and what it depends on, says the part, `passband parts` lists
# them. A figure on request is no input of another rule: name its file as a target.
rule figure:
    input:
        unpack(figure_inputs),
    output:
        # Snakemake's report shows the first format of a figure.
        report(
            f"{RESULTS}/{layout.FIGURE}".replace("{format}", STUDY.figures.formats[0]),
            category="Figures",
            labels={"figure": "{figure}"},
        ),
        *expand(
            f"{RESULTS}/{layout.FIGURE}",
            format=STUDY.figures.formats[1:],
            allow_missing=True,
        ),
    log:
        LOGS["figure"],
    benchmark:
        BENCHMARKS["figure"]
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: FIGURES[wildcards.figure].declaration.memory_mb * attempt,
        runtime=lambda wildcards, attempt: 15 * attempt,
    params:
        version=STAGES["figures"],
        settings=lambda wildcards: DRAWN_BY[wildcards.figure],
    script:
        "../scripts/figure.py"
