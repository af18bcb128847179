"""Predict the matrix of Dice with levels left out, and where there are no networks."""

from passband import config
from passband.analysis.profiles import profiles_of_specimens
from passband.jobs import reuse, running
from passband.matrices.of_study import matrices
from passband.prediction.matrix.assessment import assess
from passband.prediction.matrix.predicted_matrix import predicted_matrices
from passband.reports import summaries
from passband.storage import datasets


def main(snakemake):
    with running.of_rule(snakemake, "prediction") as job:
        attrs = reuse.attributes(job, snakemake, datasets.PREDICTION)
        study = job.study
        specimens = list(study.trained_specimens)
        profiles = profiles_of_specimens(
            specimens,
            [*study.train_conditions, *study.test_conditions],
            microscope=config.Microscope(**study.microscope.transfer_params()),
            structures={name: job.results.spectrum_structures(name) for name in specimens},
            seed=study.study.seed,
        )
        with datasets.open_checked(snakemake.input.table, datasets.TABLE) as table:
            result = assess(
                matrices(table),
                profiles,
                draws=study.evaluation.bootstrap,
                confidence=study.evaluation.confidence,
                seed=study.study.seed,
                progress=job.progress,
            )
        datasets.write(result, snakemake.output[0], kind=datasets.PREDICTION, attrs=attrs)
        for line in summaries.prediction(predicted_matrices(result)).splitlines():
            job.log(line)
        job.result = f"{len(result.data_vars)} variables in {snakemake.output[0]}"


if "snakemake" in globals():
    main(snakemake)
