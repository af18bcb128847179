# All figures. What each is drawn from, and what it depends on, says the part, `passband parts` lists
# them. A figure on request is no input of another rule: name its file as a target.


def figure_inputs(wildcards):
    """Return the files that a figure is drawn from, by name."""
    part = FIGURES[wildcards.figure]
    found = {name: f"{RESULTS}/{store}" for name, store in figure_list.stores_of(part).items()}
    if "examples" in part.declaration.inputs:
        sets = wave_layout.waves_of([EXAMPLE.condition] if EXAMPLE else [])
        found |= {
            "weights": below_results([EXAMPLE.batch.path(layout.WEIGHTS)] if EXAMPLE else []),
            # The network that was trained under each condition that the figure may show.
            "there": below_results(shown_networks.example_networks(STUDY, EXAMPLE, is_counted)),
            "waves": test_shards(sets)[TRAINED[0]],
        }
    return found


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
