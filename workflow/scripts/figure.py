"""Draw a figure from what its part says that it is drawn from."""

from passband.figures import drawing, style
from passband.jobs import running


def main(snakemake):
    name = snakemake.wildcards.figure
    with running.of_rule(snakemake, "figure") as job:
        part = job.study.known_parts.get("figure", name)
        example = snakemake.params.settings.get("condition")
        figure = drawing.draw(part, job.study, files=snakemake.input, example=example)
        style.save(figure, snakemake.output, job.study.figures.dpi)
        job.result = snakemake.output[0]


if "snakemake" in globals():
    main(snakemake)
