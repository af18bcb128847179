# Distances between trained networks, and between the images of their conditions, on request. A job
# has as many test conditions as can have their images in memory.
#
# The images of training conditions show test structures too.
rule distances_part:
    input:
        weights=lambda wildcards: below_results(
            filter(
                is_counted,
                shown_networks.compared_networks(STUDY, *wildcards[:2], COMPARED[wildcards.part]),
            )
        ),
        waves=flat(test_shards(STUDY.train_waves)),
    output:
        f"{RESULTS}/{layout.DISTANCES_PART}",
    log:
        LOGS["distances_part"],
    benchmark:
        BENCHMARKS["distances_part"]
    wildcard_constraints:
        specimen="|".join(map(re.escape, TRAINED)),
        part="|".join(COMPARED),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        version=STAGES["distances"],
        settings=STUDY.condition_settings("train")
        | RECIPES.settings("study.seed", "study.conditions_per_job")
        | RECIPES.images,
        test=lambda wildcards: {"test conditions": COMPARED[wildcards.part]},
    script:
        "../scripts/distances_part.py"


rule distances:
    input:
        below_results(shown_networks.distance_files(STUDY)),
    output:
        directory(f"{RESULTS}/{layout.DISTANCES}"),
    log:
        LOGS["distances"],
    benchmark:
        BENCHMARKS["distances"]
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        version=STAGES["distances"],
    script:
        "../scripts/distances.py"
