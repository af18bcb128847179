"""Draw the figure of OOD metrics or predictions that the rule's name contains."""

from passband.figures import generalization, matrix, prediction, specimen_shift, style
from passband.jobs import job as jobs
from passband.matrices.of_study import matrices
from passband.prediction.matrix.predicted_matrix import predicted_matrices
from passband.storage import datasets

# The function of each figure, by the figure's name, which is part of the rule's name.
FIGURES = {
    "matrix": matrix.matrix,
    "metrics": generalization.metrics,
    "decay": generalization.decay,
    "structure": specimen_shift.structure,
    "prediction": prediction.prediction,
}


def main(snakemake):
    with jobs.job(snakemake.rule, snakemake.log[0], snakemake.threads, snakemake.config) as job:
        draw = FIGURES[snakemake.rule.removeprefix("figure_")]
        kinds = {
            "ood": datasets.OOD,
            "information": datasets.INFORMATION,
            "distances": datasets.DISTANCES,
            "prediction": datasets.PREDICTION,
        }
        data = {name: datasets.read(path, kinds[name]) for name, path in snakemake.input.items()}
        if "ood" in data:
            data["ood"] = matrices(metrics=data["ood"])
        if "prediction" in data:
            data["prediction"] = predicted_matrices(data["prediction"])
        figure = draw(*data.values(), job.study.figures.width_cm)
        style.save(figure, snakemake.output, job.study.figures.dpi)
        job.result = snakemake.output[0]


if "snakemake" in globals():
    main(snakemake)
