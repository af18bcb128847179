"""Draw one network's predictions under its training condition and its two worst conditions."""

from passband import config
from passband.figures import images as figures
from passband.figures import style
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.splits import Split
from passband.jobs import job as jobs
from passband.learning import devices, evaluation, networks
from passband.storage import datasets


def main(snakemake):
    params = snakemake.params
    with jobs.job("figure_examples", snakemake.log[0], snakemake.threads, snakemake.config) as job:
        weights, metadata = networks.load(snakemake.input.weights[0])
        network = networks.restore(metadata.architecture, next(iter(weights.values())))
        specimen, train = metadata.specimen, metadata.condition
        microscope = config.Microscope(**params.microscope)
        device = devices.device()
        acquisition = Acquisition.from_microscope(microscope, metadata.normalisation, device)
        split = Split.load(
            snakemake.input.waves, (params.seed, specimen, "test"), microscope, device
        ).first(params.structures)
        networks_of = {"specimen": specimen, "architecture": metadata.architecture, "train": train}
        dice = datasets.read(snakemake.input.ood, datasets.OOD).dice
        dice = dice.sel(test_specimen=specimen, **networks_of)
        # The condition with the lowest Dice at the training dose, and the one with the lowest of
        # all.
        same_dose = dice[(dice.test_dose_e_per_A2 == dice.train_dose_e_per_A2).values]
        worst = [str(d.test.values[d.values.argmin()]) for d in (same_dose, dice) if d.size]
        shown = [Condition.parse(id) for id in dict.fromkeys([train, *worst])]
        images, predictions, scores = evaluation.examples(
            network, acquisition, split, shown, metadata.precision
        )
        masks, pixel_A = split.masks[:, 0].cpu().numpy(), microscope.pixel_size_A
        figure = figures.examples(images, predictions, masks, scores, train, pixel_A)
        style.save(figure, snakemake.output, params.dpi)
        job.result = snakemake.output[0]


if "snakemake" in globals():
    main(snakemake)
