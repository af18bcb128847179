# The condition of the images on contact sheets.
MIDDLE = STUDY.middle_condition.id


# Outputs on request, which are not part of `all`. To make these outputs, name them as targets.
rule images:
    input:
        lambda wildcards: shards(wildcards.specimen, wildcards.split, [wildcards.condition]),
    output:
        directory(f"{RESULTS}/{layout.IMAGES}"),
    log:
        LOGS["images"],
    benchmark:
        BENCHMARKS["images"]
    wildcard_constraints:
        **wildcard_patterns.of_images(STUDY),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        version=lambda wildcards: STAGES["train" if wildcards.whose else "evaluate"],
        settings=RECIPES.settings("study.seed") | RECIPES.images,
    script:
        "../scripts/images.py"


rule gallery:
    input:
        expand(
            f"{RESULTS}/{layout.GALLERY}",
            specimen=STUDY.specimens,
            format=STUDY.figures.formats,
        ),


rule gallery_sheet:
    input:
        waves=lambda wildcards: shards(wildcards.specimen, "test", [MIDDLE])[0],
    output:
        expand(f"{RESULTS}/{layout.GALLERY}", format=STUDY.figures.formats, allow_missing=True),
    log:
        LOGS["gallery_sheet"],
    benchmark:
        BENCHMARKS["gallery_sheet"]
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 15 * attempt,
    params:
        version=STAGES["figures"],
        recipe=lambda wildcards: RECIPES.waves(
            wildcards.specimen, "test", *wave_layout.waves_of([MIDDLE])
        ).params,
        settings=RECIPES.settings("study.seed", "figures.dpi")
        | RECIPES.images
        | {"condition": MIDDLE},
    script:
        "../scripts/gallery.py"
