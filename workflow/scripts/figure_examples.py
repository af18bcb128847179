"""Draw predictions under a network's training condition and its two worst conditions."""

from passband.figures import images as figures
from passband.figures import style
from passband.grid import Axes, Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Structures
from passband.jobs import job as jobs
from passband.learning import devices, evaluation, networks
from passband.results import training_jobs
from passband.storage import datasets


def main(snakemake):
    params, input = snakemake.params, snakemake.input
    with jobs.job("figure_examples", snakemake.log[0], snakemake.threads, snakemake.config) as job:
        # If jobs have several training conditions, the file's condition is a param.
        one, there = params.get("condition"), {}
        network, found = networks.load_first(input.weights[0], one and {"condition": one})
        specimen, device = found.specimen, devices.device()
        structures = Structures.of_params(params, specimen, "test", input.waves)
        microscope = structures.microscope
        acquired = Acquisition.from_microscope(microscope, found.normalisation, device)
        loaded = structures.load(device).first(params.structures)
        own = {"specimen": specimen, "architecture": found.architecture, "train": found.condition}
        dice = datasets.read(input.ood, datasets.OOD).dice.sel(test_specimen=specimen, **own)
        # The condition with the lowest Dice at the training dose, and the lowest of all.
        same_dose = dice[(dice.test_dose_e_per_A2 == dice.train_dose_e_per_A2).values]
        worst = [str(d.test.values[d.values.argmin()]) for d in (same_dose, dice) if d.size]
        ids, axes = dict.fromkeys([found.condition, *worst]), Axes.of(dice)
        shown = [axes.parse(id) for id in ids]
        seen = evaluation.examples(network, acquired, loaded, shown, found.precision)
        files = training_jobs.files_by_condition(input.there, params.get("groups", {}))
        for id in files.keys() & {*worst}:
            of, _ = networks.load_first(files[id], {"condition": id})
            its = evaluation.examples(of, acquired, loaded, [Condition.parse(id)], found.precision)
            there[id] = its[1][id], its[2][id]
        masks = {one.id: loaded.under(one).masks[:, 0].cpu().numpy() for one in shown}
        pixels = {one.id: microscope.under(one).pixel_size_A for one in shown}
        given = *seen[:2], masks, seen[2], found.condition, pixels, there, style.width_cm(params)
        labels = {condition.id: style.condition_label(condition) for condition in shown}
        style.save(figures.examples(*given, labels), snakemake.output, params.dpi)
        job.result = snakemake.output[0]


if "snakemake" in globals():
    main(snakemake)
