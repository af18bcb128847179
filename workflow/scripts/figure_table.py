"""Draw a figure of the OOD metrics: the one that the rule is called after."""

from passband import figures, jobs, store

params = snakemake.params

with jobs.job(snakemake.rule, snakemake.log[0], snakemake.threads, snakemake.config) as job:
    draw = getattr(figures, snakemake.rule.removeprefix("figure_"))
    kinds = {
        "ood": store.OOD,
        "information": store.INFORMATION,
        "distances": store.DISTANCES,
        "prediction": store.PREDICTION,
    }
    data = [store.read(path, kinds[name]) for name, path in snakemake.input.items()]
    figures.save(draw(*data, params.palette), snakemake.output, params.dpi)
    job.made = snakemake.output[0]
