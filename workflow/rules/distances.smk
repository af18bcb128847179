# Distances other than the transfer functions': of finished networks, asked for by name, not part of
# `all`. A job takes on some test conditions, as many as it has memory for their images.
rule distances_part:
    input:
        weights=compared,
        waves=rules.evaluate.input.waves,
    output:
        f"{RESULTS}/distances/{{specimen}}/{{architecture}}/{{part}}.zarr.zip",
    log:
        f"{RESULTS}/logs/distances/{{specimen}}/{{architecture}}/{{part}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/distances/{{specimen}}/{{architecture}}/{{part}}.tsv"
    wildcard_constraints:
        specimen="|".join(map(re.escape, TRAINED)),
        part="|".join(PARTS),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        version=STAGES["distances"],
        seed=STUDY.study.seed,
        microscope=IMAGING,
        structures=STUDY.distances.structures,
        train=STUDY.grid.axes(),
        test=lambda wildcards: PARTS[wildcards.part],
        network=lambda wildcards: FIRST,
        waves={specimen: shards(specimen, "test") for specimen in STUDY.specimens},
    script:
        "../scripts/distances_part.py"


rule distances:
    input:
        expand(
            rules.distances_part.output[0],
            specimen=TRAINED,
            architecture=STUDY.training.architectures,
            part=PARTS,
        ),
    output:
        directory(f"{RESULTS}/distances.zarr"),
    log:
        f"{RESULTS}/logs/distances.log",
    benchmark:
        f"{RESULTS}/benchmarks/distances.tsv"
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
