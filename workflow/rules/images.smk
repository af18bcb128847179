# What a study does not need and a reader may want: asked for by name, not part of `all`.
rule images:
    input:
        lambda wildcards: shards(wildcards.specimen, wildcards.split),
    output:
        directory(f"{RESULTS}/images/{{specimen}}/{{split}}/{{condition}}{{draw}}.zarr"),
    log:
        f"{RESULTS}/logs/images/{{specimen}}/{{split}}/{{condition}}{{draw}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/images/{{specimen}}/{{split}}/{{condition}}{{draw}}.tsv"
    wildcard_constraints:
        condition=f"{GRID}|{pattern_of(STUDY.test_axes)}",
        # Which draw of the noise: none named is the first, what evaluation sees.
        draw=r"|_draw[1-9]\d*",
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        version=STAGES["evaluate"],
        seed=STUDY.study.seed,
        microscope=IMAGING,
    script:
        "../scripts/images.py"


rule gallery:
    input:
        expand(
            f"{RESULTS}/gallery/{{specimen}}.{{format}}",
            specimen=STUDY.specimens,
            format=STUDY.figures.formats,
        ),


rule gallery_sheet:
    input:
        waves=lambda wildcards: shards(wildcards.specimen, "test")[0],
    output:
        expand(f"{RESULTS}/gallery/{{{{specimen}}}}.{{format}}", format=STUDY.figures.formats),
    log:
        f"{RESULTS}/logs/gallery/{{specimen}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/gallery/{{specimen}}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 15 * attempt,
    params:
        version=STAGES["figures"],
        seed=STUDY.study.seed,
        specimen=lambda wildcards: inactive(STUDY.specimens[wildcards.specimen], "trained"),
        microscope=IMAGING,
        condition=MIDDLE,
        dpi=STUDY.figures.dpi,
    script:
        "../scripts/gallery.py"
