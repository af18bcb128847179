"""Predict the matrix of Dice, compute its smoothness, and choose networks to train."""

from passband import config
from passband.analysis.profiles import profiles_of_specimens
from passband.grid import Axes, of_conditions
from passband.jobs import job as jobs
from passband.jobs import reuse
from passband.prediction.matrix.prediction import assess
from passband.reports import summaries
from passband.storage import datasets


def main(snakemake):
    params, files = snakemake.params, snakemake.input
    with jobs.job("prediction", snakemake.log[0], snakemake.threads, snakemake.config) as job:
        attrs = reuse.attributes(job, snakemake, datasets.PREDICTION)
        # Mixtures have no profile of a single condition, and are not predicted.
        metrics = of_conditions(datasets.read(files.ood, datasets.OOD))
        information = of_conditions(datasets.read(files.information, datasets.INFORMATION))
        distances = datasets.read(files.distances, datasets.DISTANCES) if files.distances else None
        axes = Axes(params.get("own", {}))
        profiles = profiles_of_specimens(
            params.specimens,
            [c for side in (params.train, params.test) for c in axes.conditions(side)],
            config.Microscope(**params.microscope),
            params.waves,
            params.seed,
            params.flat_power,
            params.draws,
        )
        with datasets.open_checked(files.table, datasets.TABLE) as table:
            stores = of_conditions(table), metrics, information, distances, profiles
            sampled = params.bootstrap, params.confidence, params.seed
            result = assess(*stores, *sampled, job.progress, snakemake.threads)
        datasets.write(result, snakemake.output[0], datasets.PREDICTION, attrs)
        for line in summaries.prediction(result).splitlines():
            job.log(line)
        job.result = f"{len(result.data_vars)} variables in {snakemake.output[0]}"


if "snakemake" in globals():
    main(snakemake)
