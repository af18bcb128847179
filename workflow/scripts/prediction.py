"""Predict the matrix of Dice with levels left out, and where there are no networks."""

from passband import config
from passband.analysis.profiles import profiles_of_specimens
from passband.grid import Axes
from passband.imaging.structures import weighting_structures
from passband.jobs import job as jobs
from passband.jobs import reuse
from passband.matrices.of_study import matrices
from passband.prediction.matrix.assessment import assess
from passband.prediction.matrix.predicted_matrix import predicted_matrices
from passband.reports import summaries
from passband.storage import datasets


def main(snakemake):
    params, files = snakemake.params, snakemake.input
    with jobs.job("prediction", snakemake.log[0], snakemake.threads, snakemake.config) as job:
        attrs = reuse.attributes(job, snakemake, datasets.PREDICTION)
        axes = Axes(params.get("own", {}))
        profiles = profiles_of_specimens(
            params.specimens,
            [c for side in (params.train, params.test) for c in axes.conditions(side)],
            config.Microscope(**params.microscope),
            weighting_structures(params),
            params.seed,
        )
        with datasets.open_checked(files.table, datasets.TABLE) as table:
            result = assess(
                matrices(table),
                profiles,
                draws=params.bootstrap,
                confidence=params.confidence,
                seed=params.seed,
                progress=job.progress,
            )
        datasets.write(result, snakemake.output[0], datasets.PREDICTION, attrs)
        for line in summaries.prediction(predicted_matrices(result)).splitlines():
            job.log(line)
        job.result = f"{len(result.data_vars)} variables in {snakemake.output[0]}"


if "snakemake" in globals():
    main(snakemake)
